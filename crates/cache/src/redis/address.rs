//! The address of Redis, and errors about it that never contain the password.

use antiphon_core::{Error, ErrorKind, Result};
use redis::io::tcp::TcpSettings;
use redis::{Client, ErrorKind as Cause, IntoConnectionInfo, RedisError, ServerErrorKind};

/// What a URL of Redis must be.
pub(super) const FORMS: &str = "redis://[[user]:password@]host[:port][/database], rediss:// and the same for TLS, or \
    unix:///path; in user and password all but letters, digits, - . _ and ~ must be written as %XX";

/// A client for this URL; nothing is sent yet. The error does not repeat the URL.
pub(super) fn client(url: &str) -> Result<Client> {
    let wrong = || Error::invalid(format!("the URL of Redis must be {FORMS}"));
    let (_, rest) = url.split_once("://").ok_or_else(wrong)?;
    // An unescaped / ? or # in a password would end the host there, and the first part of the password would be shown as the host.
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.contains('#') || (!host.is_empty() && rest[host.len()..].contains('@')) {
        return Err(wrong());
    }
    let info = url.into_connection_info().map_err(|_| wrong())?;
    // No delay: commands are small and somebody waits for the answer.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    Client::open(info).map_err(|_| wrong())
}

/// An error of the Redis with this name. Of Redis' own message only the code is kept, since it may repeat what it was sent.
pub(super) fn error(name: &str, cause: &RedisError) -> Error {
    let of = |kind, what: &str| Error::new(kind, format!("{name}: {what}"));
    match cause.kind() {
        Cause::Io => of(ErrorKind::Unavailable, &cause.to_string()),
        Cause::AuthenticationFailed | Cause::Server(ServerErrorKind::NoPerm) => refused(name),
        Cause::Server(_) | Cause::Extension => match cause.code() {
            Some("NOAUTH" | "WRONGPASS") => refused(name),
            code => of(ErrorKind::Unavailable, &format!("it answers {}", code.unwrap_or("with an error"))),
        },
        Cause::Parse | Cause::UnexpectedReturnType => of(ErrorKind::Protocol, "that is no answer of Redis"),
        _ => of(ErrorKind::Unavailable, cause.category()),
    }
}

fn refused(name: &str) -> Error {
    let what = "the user or the password is refused, or may not do this: see the URL and Redis' access list";
    Error::new(ErrorKind::Unauthorized, format!("{name}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match client(url) {
            Ok(client) => client.get_connection_info().addr().to_string(),
            Err(error) => error.to_string().replace("the URL of Redis must be ", ""),
        }
    }

    #[test]
    fn urls_are_checked() {
        assert_eq!(shown("redis://localhost"), "localhost:6379");
        assert_eq!(shown("rediss://:secret@10.0.0.1:7000/3"), "10.0.0.1:7000");
        assert_eq!(shown("redis://user:s%2Fe%23c%40ret@host/1"), "host:6379");
        assert_eq!(shown("unix:///run/redis@1/redis.sock"), "/run/redis@1/redis.sock");
        for url in
            ["", "localhost", "http://localhost", "redis://", "redis://host/x", "rediss://host/#insecure"]
        {
            assert_eq!(shown(url), FORMS, "{url}");
        }
    }

    #[test]
    fn no_part_of_a_password_is_taken_for_the_host() {
        for url in
            ["redis://user:12/34@host", "redis://user:12?34@host", "redis://user:12#34@host", "redis://12#34"]
        {
            assert_eq!(shown(url), FORMS, "{url}");
        }
        assert_eq!(shown("redis://user:12@34@host"), "host:6379");
    }

    #[test]
    fn what_redis_repeats_is_not_told() {
        let cause =
            redis::make_extension_error("ERR".to_owned(), Some("unknown command 'secret'".to_owned()));
        assert_eq!(error("Redis at host", &cause).to_string(), "Redis at host: it answers ERR");
        let cause = redis::make_extension_error("WRONGPASS".to_owned(), Some("secret".to_owned()));
        assert_eq!(error("Redis at host", &cause).kind(), ErrorKind::Unauthorized);
    }
}
