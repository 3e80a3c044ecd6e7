//! Tokens by which a broker knows us (SASL OAUTHBEARER): fetched or signed when a client asks for one, and
//! shared by all clients of a connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftline_config::{KafkaAuth, Secret};
use rdkafka::client::OAuthToken;

mod aws;
mod client_credentials;
mod msk;

/// The name of the client in a token's frame; brokers go by the token itself.
const PRINCIPAL: &str = "driftline";
/// All of a token: what must be asked for it answers within this, or not in time.
const PATIENCE: Duration = Duration::from_secs(25);
/// librdkafka asks for the next token when a fifth of the time of one is left: less than a quarter of its
/// time left is a token that is replaced.
const KEPT_UP_TO: u32 = 4;

/// A token and its time.
#[derive(Debug, Clone)]
struct Token {
    value: Secret,
    from: SystemTime,
    until: SystemTime,
}

/// The tokens of one connection.
#[derive(Clone)]
pub struct Login {
    auth: KafkaAuth,
    last: Arc<Mutex<Option<Token>>>,
}

impl Login {
    /// Asks for nothing yet.
    pub fn new(auth: KafkaAuth) -> Login {
        Login { auth, last: Arc::default() }
    }

    /// A token with time left: the last one, or a new one. Waits for whoever gives it.
    ///
    /// # Errors
    /// Why there is none, without a secret.
    pub(crate) fn token(&self) -> Result<OAuthToken, String> {
        // Held while the next one comes: a hundred clients ask for it once.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.clone().filter(|token| token.is_kept(SystemTime::now()));
        let token = match kept {
            Some(token) => token,
            None => last.insert(fetched(&self.auth)?).clone(),
        };
        let until = token.until.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(OAuthToken {
            token: token.value.expose().to_owned(),
            principal_name: PRINCIPAL.to_owned(),
            lifetime_ms: i64::try_from(until.as_millis()).unwrap_or(i64::MAX),
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.auth.fmt(formatter)
    }
}

impl PartialEq for Login {
    fn eq(&self, other: &Login) -> bool {
        self.auth == other.auth
    }
}

impl Token {
    fn is_kept(&self, now: SystemTime) -> bool {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        // A clock that was set back before the token leaves it unused rather than for ever.
        let left = self.until.duration_since(now).unwrap_or_default();
        now >= self.from && left > whole / KEPT_UP_TO
    }
}

/// On a thread of its own: who asks may be one of a runtime, which must not wait for another.
fn fetched(auth: &KafkaAuth) -> Result<Token, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| format!("cannot start a runtime: {error}"))?;
            let late = |_| format!("no token came within {} s", PATIENCE.as_secs());
            runtime
                .block_on(async { tokio::time::timeout(PATIENCE, ask(auth)).await.map_err(late)? })
        });
        thread
            .join()
            .unwrap_or_else(|_| Err("the thread that asks for a token panicked".to_owned()))
    })
}

async fn ask(auth: &KafkaAuth) -> Result<Token, String> {
    match auth {
        KafkaAuth::OAuthBearer(settings) => client_credentials::token(settings).await,
        KafkaAuth::AwsMskIam(settings) => {
            let credentials = aws::credentials(settings).await?;
            msk::token(&settings.region, credentials, SystemTime::now())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_three_quarters_of_its_time() {
        let from = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let until = from + Duration::from_secs(900);
        let token = Token { value: Secret::new("t"), from, until };
        for (seconds, kept) in [(0, true), (674, true), (675, false), (900, false), (2000, false)] {
            assert_eq!(token.is_kept(from + Duration::from_secs(seconds)), kept, "{seconds}");
        }
        assert!(!token.is_kept(from - Duration::from_secs(1)));
    }
}
