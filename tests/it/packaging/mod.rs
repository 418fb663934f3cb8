//! What is in `packaging/`, by those who read it: fail2ban, systemd, shells. What needs a release, a
//! Debian or a build of its own is in `tests/packaging`.

mod fail2ban;
mod texts;
