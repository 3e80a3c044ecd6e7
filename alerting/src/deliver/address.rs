//! Which addresses webhooks may go to, asked after names have been resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services of large clouds, outside the link-local range: Amazon's (and what else it keeps beside it),
/// Google's, Oracle's and Scaleway's.
const METADATA_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];
/// Alibaba's, Oracle's of old, and Azure's.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// Whether an address is link-local or a cloud's metadata service, also where it stands inside another one, as
/// which a gateway or a tunnel would take it there. Private addresses are not: receivers live there.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    let is_local_v4 = |v4: Ipv4Addr| v4.is_link_local() || METADATA_V4.contains(&v4);
    match address {
        IpAddr::V4(v4) => is_local_v4(v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA_V6.iter().any(|(network, bits)| is_within(v6, *network, *bits))
                || v4_inside(v6).any(is_local_v4)
        }
    }
}

/// Whether the first so many bits are those of the network.
fn is_within(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    let differing = address.to_bits() ^ network.to_bits();
    differing.leading_zeros() >= bits
}

/// The addresses of version 4 that one of version 6 may stand for.
fn v4_inside(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let bits = address.to_bits();
    let at = |shift: u32| (bits >> shift) as u32;
    let begins =
        |network: [u16; 8], length: u32| is_within(address, Ipv6Addr::from(network), length);
    let last = at(0);
    // RFC 6052, 2.2: behind a prefix of 48 bits the octet in the middle is left out.
    let around_the_middle = (at(64) & 0xffff) << 16 | at(40) & 0xffff;
    let candidates = [
        // Mapped, and the compatible one of old: RFC 4291, 2.5.5.
        (begins([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), last),
        (begins([0; 8], 96), last),
        // Translated: RFC 2765, 2.1.
        (begins([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), last),
        // NAT64, everybody's and a site's own: RFC 6052 and RFC 8215.
        (begins([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), last),
        (begins([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), last),
        (begins([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), around_the_middle),
        // 6to4: RFC 3056, 2.
        (begins([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), at(80)),
        // Teredo, its server and its client: RFC 4380, 4.
        (begins([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), at(64)),
        (begins([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), !last),
        // ISATAP, behind any prefix: RFC 5214, 6.1.
        (at(32) & !0x0200_0000 == 0x5efe, last),
    ];
    candidates.into_iter().filter(|(is_one, _)| *is_one).map(|(_, v4)| Ipv4Addr::from_bits(v4))
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

    /// The metadata service of a cloud was reached as an address of version 6 that a gateway translates.
    #[test]
    fn an_address_inside_another_one_is_found_in_all_its_spellings() {
        let table = [
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("::ffff:0:169.254.169.254", true),
            ("64:ff9b::169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("64:ff9b:1::a9fe:a9fe", true),
            ("64:ff9b:1:a9fe:a9:fe00::", true),
            ("64:ff9b::6464:64c8", true),
            ("2002:a9fe:a9fe::1", true),
            ("2001:0:a9fe:a9fe::1", true),
            ("2001:0:102:304::5601:5601", true),
            ("2001:db8::5efe:169.254.169.254", true),
            ("2001:db8::200:5efe:a9fe:a9fe", true),
            ("fe80::a9fe:a9fe", true),
            ("fd00:ec2::254", true),
            ("fd00:ec2::23", true),
            ("fd20:ce::254", true),
            ("fd00:c1::a9fe:a9fe", true),
            ("fd00:42::42", true),
            ("168.63.129.16", true),
            ("192.0.0.192", true),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::10.0.0.1", false),
            ("2002:a00:1::1", false),
            ("2001:db8::a9fe:a9fe", false),
            ("2001:db8:a9fe:a9fe::1", false),
            ("fd00:ec3::254", false),
            ("fd12::1", false),
        ];
        for (text, expected) in table {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_link_local(address), expected, "{text}");
        }
    }

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
