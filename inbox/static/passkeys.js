/* Passkeys: a form marked data-passkey asks the browser for a signature, puts it into its fields and sends itself. */
const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/* The options as the browser wants them: bytes where JSON has base64url. */
function ready(options) {
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const list of [options.excludeCredentials, options.allowCredentials]) for (const known of list ?? []) known.id = bytes(known.id);
  return options;
}

/* The answer as it travels: every buffer as base64url. */
function packed(made) {
  const response = {};
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) if (made.response[name]) response[name] = text(made.response[name]);
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: made.getClientExtensionResults() });
}

async function go(form) {
  const purpose = form.dataset.passkey, body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, purpose });
  const answer = await fetch(form.dataset.challenge, { method: 'POST', body, headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error('server');
  const { ticket, options } = await answer.json(), publicKey = ready(options);
  const made = purpose === 'register' ? await navigator.credentials.create({ publicKey }) : await navigator.credentials.get({ publicKey });
  form.querySelector('[name$=passkey]').value = packed(made);
  form.querySelector('[name$=ticket]').value = ticket;
  form.submit();
}

const SAID = {
  NotAllowedError: 'It was cancelled or took too long. Try again.',
  InvalidStateError: 'This device has a passkey for your account already.',
  SecurityError: 'Passkeys work only at the address they belong to; this is another one.',
};

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const button = form.querySelector('[data-passkey-go]'), said = form.querySelector('[data-passkey-said]');
  if (!button || form.dataset.ready || !window.PublicKeyCredential) continue;
  form.dataset.ready = '1';
  button.hidden = false;
  button.addEventListener('click', async () => {
    if (form.dataset.passkey === 'register' && !form.reportValidity()) return;
    button.disabled = true;
    said.hidden = true;
    try { await go(form); } catch (error) {
      said.textContent = SAID[error.name] ?? 'The server could not be reached. Try again.';
      said.hidden = false;
      button.disabled = false;
    }
  });
}
for (const part of document.querySelectorAll('[data-passkey-part]')) part.hidden = !window.PublicKeyCredential;
