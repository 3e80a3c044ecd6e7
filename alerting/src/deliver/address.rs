//! Which addresses webhooks may go to, asked after names have been resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services of large clouds, outside the link-local range.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// Whether an address is link-local or a cloud's metadata service. Private addresses are not:
/// receivers live there.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    let is_local_v4 = |v4: Ipv4Addr| v4.is_link_local() || METADATA_V4.contains(&v4);
    match address {
        IpAddr::V4(v4) => is_local_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_local_v4(v4),
            None => v6.is_unicast_link_local() || v6 == METADATA_V6,
        },
    }
}

/// The system's resolver without link-local answers, so that a name cannot lead where a written
/// address may not.
#[derive(Debug)]
pub(super) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(without_link_local(found)?.into_iter()) as Addrs)
        })
    }
}

/// Why a name may not be connected to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name resolves to link-local addresses only")]
struct OnlyLinkLocal;

fn without_link_local(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, OnlyLinkLocal> {
    let was_found = !found.is_empty();
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|found| !is_link_local(found.ip())).collect();
    if allowed.is_empty() && was_found { Err(OnlyLinkLocal) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_link_local_are_not_connected_to() {
        let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
        let metadata = [
            socket("169.254.169.254:80"),
            socket("[fe80::1]:80"),
            socket("[::ffff:169.254.169.254]:80"),
            socket("[fd00:ec2::254]:80"),
            socket("100.100.100.200:80"),
        ];
        let private = socket("10.0.0.1:80");
        assert_eq!(without_link_local(metadata.to_vec()), Err(OnlyLinkLocal));
        let both = vec![metadata[0], private];
        assert_eq!(without_link_local(both), Ok(vec![private]));
        assert_eq!(without_link_local(Vec::new()), Ok(Vec::new()));
    }
}
