//! `auth_user backup` and `restore`.
