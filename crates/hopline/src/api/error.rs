//! What can go wrong with a server that is asked something.

use hopline_traces::questions::Mistake;
use hopline_wire::ingest::ErrorReply;
use reqwest::StatusCode;

use crate::exit;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// It cannot be reached, or went away.
    #[error("{operation}: the server at {base} is out of reach")]
    Away {
        /// What was asked.
        operation: &'static str,
        /// The server.
        base: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It wants another credential.
    #[error(
        "{operation}: the server at {base} refuses the admin secret: give its own as HOPLINE_ADMIN_SECRET"
    )]
    Forbidden {
        /// What was asked.
        operation: &'static str,
        /// The server.
        base: String,
    },
    /// It says why not.
    #[error("{operation}: {message}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// Its answer's status.
        status: StatusCode,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// It does not understand the question.
    #[error("{}", .0.message)]
    NotUnderstood(Mistake),
    /// What it says is not understood.
    #[error("{operation}: the server at {base} answers something else than expected: is it a Hopline of this version ({version})?", version = env!("CARGO_PKG_VERSION"))]
    Malformed {
        /// What was asked.
        operation: &'static str,
        /// The server.
        base: String,
        /// What was not understood.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No client could be made.
    #[error("set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl ApiError {
    /// What an answer without success says.
    pub(super) fn refused(
        operation: &'static str,
        base: &str,
        status: StatusCode,
        body: &[u8],
    ) -> Self {
        let reply: Option<ErrorReply> = serde_json::from_slice(body).ok();
        let base = base.to_owned();
        match (status, reply) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                Self::Forbidden { operation, base }
            }
            (_, Some(reply)) if reply.code == "bad_query" => {
                #[derive(serde::Deserialize)]
                struct Place {
                    start: usize,
                    end: usize,
                    expected: Vec<String>,
                    suggestion: Option<String>,
                }
                let place = serde_json::from_slice::<Place>(body).ok();
                Self::NotUnderstood(match place {
                    Some(place) => Mistake {
                        message: reply.error,
                        at: place.start..place.end,
                        expected: place.expected,
                        suggestion: place.suggestion,
                    },
                    None => Mistake {
                        message: reply.error,
                        at: 0..0,
                        expected: Vec::new(),
                        suggestion: None,
                    },
                })
            }
            (status, Some(reply)) => Self::Refused {
                operation,
                status,
                code: reply.code,
                message: reply.error,
            },
            (status, None) => Self::Malformed {
                operation,
                base,
                source: format!("status {status}").into(),
            },
        }
    }

    /// The server's own word for what is wrong.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the server has no room for it just now.
    pub(crate) fn is_overloaded(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if matches!(status.as_u16(), 429 | 503))
    }

    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Away { .. } => exit::UNAVAILABLE,
            Self::Forbidden { .. } => exit::FORBIDDEN,
            Self::Malformed { .. } => exit::VERSION,
            Self::NotUnderstood(_) => exit::USAGE,
            Self::Client(_) => exit::INTERNAL,
            Self::Refused { code, status, .. } => match (code.as_str(), status.as_u16()) {
                ("choose_runner", _) | (_, 400) => exit::USAGE,
                (_, 404) => exit::NOT_FOUND,
                (_, 409) => exit::TAKEN,
                (_, 429 | 502..=504) => exit::UNAVAILABLE,
                _ => exit::INTERNAL,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ApiError {
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::refused(
            "start a build",
            "http://127.0.0.1:1",
            status,
            body.as_bytes(),
        )
    }

    #[test]
    fn each_refusal_has_words_and_an_exit_code_of_its_own() {
        let busy = refused(
            409,
            r#"{"error":"the project builds already","code":"build_running"}"#,
        );
        assert_eq!(
            busy.to_string(),
            "start a build: the project builds already"
        );
        assert_eq!(busy.exit_code(), exit::TAKEN);
        let away = refused(
            503,
            r#"{"error":"no runner is connected","code":"runner_unavailable"}"#,
        );
        assert_eq!(away.exit_code(), exit::UNAVAILABLE);
        assert_eq!(refused(403, "{}").exit_code(), exit::FORBIDDEN);
        let other = refused(404, "<html>");
        assert_eq!(other.exit_code(), exit::VERSION);
        assert!(other.to_string().contains("is it a Hopline"), "{other}");
    }
}
