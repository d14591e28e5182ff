//! Made-up programs before the rules: time passes as fast as it is counted.

mod documented;
mod made_up;
mod rules;
mod timeline;
mod users;
