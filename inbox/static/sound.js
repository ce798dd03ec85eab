// The sound of a new text: once, in one of the open pages, and not where the conversation is being looked at.
const play = (file, volume) => { const a = new Audio(file); a.volume = volume / 100; return a.play(); };
export function heard({ sound }) {
  const c = document.querySelector('#conversation[data-id]')?.dataset.id;
  if (document.hasFocus() && sound.in.every(id => id === c)) return;
  const once = () => play(sound.file, sound.volume).catch(() => {});  // browsers stay silent until the page was used
  if (!navigator.locks) { once(); return; }
  navigator.locks.request('sound', { ifAvailable: true }, lock => lock && Promise.all([once(), new Promise(done => setTimeout(done, 1500))]));
}
const test = document.querySelector('[data-sound-test]');
if (test) {
  test.hidden = false;
  test.addEventListener('click', () => {
    const says = document.querySelector('[data-sound-says]'); says.textContent = '';
    play(test.dataset.soundFile, +document.querySelector('#sound-volume').value).then(() => { says.textContent = 'Played.'; }, () => { says.textContent = 'This browser does not let the page play a sound.'; });
  });
}
