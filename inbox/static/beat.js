// A clock that hidden tabs do not slow down.
setInterval(() => postMessage(0), 1000);
