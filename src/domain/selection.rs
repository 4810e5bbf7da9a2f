//! Which files of the sandbox travel: include, exclude and `.gitignore` patterns, purely over names.
//! Fed by `controllers::task::files` with what was listed; no I/O here.
