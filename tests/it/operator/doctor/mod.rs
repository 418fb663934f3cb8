//! The doctor, which examines a site that is guarded by auth_user.

mod calls;
mod findings;
mod site;
