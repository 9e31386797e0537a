//! Who calls, and under which lease: the same options for every command that makes calls.

use crate::proto::json_rpc::EXTRA_MAX;

/// Where a lease is looked for when no option gives it.
pub const LEASE_VARIABLE: &str = "APPLIANCE_LEASE";

/// Who calls, and under which lease.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Call under this lease: the token that `rpc.acquire` gave
    #[arg(long, value_name = "TOKEN", env = LEASE_VARIABLE, value_parser = parse_text)]
    pub lease: Option<String>,
    /// Your name, for others and for the record [default: USER@HOST]
    #[arg(long, value_name = "NAME", value_parser = parse_text)]
    pub who: Option<String>,
}

impl Identity {
    /// The name others see.
    pub fn name(&self) -> String {
        self.who.clone().unwrap_or_else(me)
    }

    /// The token, if there is one. An empty variable is none.
    pub fn token(&self) -> Option<&str> {
        self.lease.as_deref().filter(|token| !token.is_empty())
    }
}

/// What a request can carry beside its call.
fn parse_text(text: &str) -> Result<String, String> {
    match text.chars().count() <= EXTRA_MAX && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("give at most {EXTRA_MAX} printable characters")),
    }
}

/// `ann@control`. Names of users are not looked up.
fn me() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().find_map(|key| std::env::var(key).ok().filter(|n| !n.is_empty()));
    let user = named.unwrap_or_else(|| format!("uid{}", nix::unistd::Uid::current()));
    let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{user}@{host}").chars().filter(|c| !c.is_control()).take(EXTRA_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        identity: Identity,
    }

    #[test]
    fn a_name_is_given_or_that_of_the_user() {
        let given = Line::try_parse_from(["x", "--who", "ann", "--lease", "1f.2"]).expect("parses").identity;
        assert_eq!((given.name().as_str(), given.token()), ("ann", Some("1f.2")));
        assert!(Identity::default().name().contains('@'), "{}", Identity::default().name());
        assert_eq!(Identity { lease: Some(String::new()), who: None }.token(), None);
        for bad in ["a\nb".to_owned(), "x".repeat(EXTRA_MAX + 1)] {
            assert!(Line::try_parse_from(["x", "--who", &bad]).is_err(), "{bad:?}");
        }
    }
}
