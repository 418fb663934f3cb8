//! Who a client is: the peer of the connection, or the address that a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Whether a peer is one of the proxies the operator trusts.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// The client behind trusted proxies: `forwarded` (all `X-Forwarded-For` fields, in order) read
/// from right to left for as long as the address that wrote an entry is trusted. An entry that is
/// not an address ends this, and the last good one counts. IPv4-mapped addresses come out as IPv4.
pub fn client<'a>(
    peer: IpAddr,
    forwarded: impl Iterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let entries: Vec<&[u8]> = forwarded
        .flat_map(|value| value.split(|&byte| byte == b','))
        .collect();
    let mut client = peer.to_canonical();
    for entry in entries.into_iter().rev() {
        if !is_trusted(client, trusted) {
            break;
        }
        let Some(address) = parse(entry) else { break };
        client = address;
    }
    client
}

/// An address alone or with a port; IPv6 with or without brackets.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let values = forwarded.iter().map(|value| value.as_bytes());
        client(peer.parse().unwrap(), values, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_where_they_come_from() {
        assert_eq!(seen("192.0.2.1", &["10.9.9.9"], &[]), "192.0.2.1");
        assert_eq!(
            seen("192.0.2.1", &["10.9.9.9"], &["10.0.0.0/8"]),
            "192.0.2.1"
        );
    }

    #[test]
    fn trusted_proxies_are_walked_from_right_to_left() {
        let trusted = ["10.0.0.0/8"];
        let forwarded = ["1.1.1.1, 192.0.2.7", "10.0.0.2"];
        assert_eq!(seen("10.0.0.1", &forwarded, &trusted), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3"], &trusted), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", &[], &trusted), "10.0.0.1");
    }

    #[test]
    fn garbage_ends_the_walk_at_the_last_good_address() {
        let trusted = ["10.0.0.0/8"];
        let forwarded = ["192.0.2.7, unknown, 10.0.0.2"];
        assert_eq!(seen("10.0.0.1", &forwarded, &trusted), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &["\u{1f600}"], &trusted), "10.0.0.1");
    }

    #[test]
    fn addresses_may_carry_a_port_or_brackets() {
        let trusted = ["10.0.0.0/8"];
        for (written, address) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(seen("10.0.0.1", &[written], &trusted), address);
        }
    }

    #[test]
    fn a_mapped_peer_is_the_ipv4_one() {
        assert_eq!(seen("::ffff:192.0.2.1", &[], &[]), "192.0.2.1");
        assert_eq!(
            seen("::ffff:10.0.0.1", &["192.0.2.7"], &["10.0.0.0/8"]),
            "192.0.2.7"
        );
    }

    proptest! {
        /// Only trusted peers are believed, and the client is always the peer or one of the
        /// entries.
        #[test]
        fn nobody_is_made_up(
            peer in prop::sample::select(vec!["10.0.0.1", "192.0.2.1", "2001:db8::1"]),
            fields in prop::collection::vec("([0-9a-f.:,\\[\\] x]{0,20}|10\\.0\\.0\\.2, ?){0,4}", 0..3),
        ) {
            let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
            let peer: IpAddr = peer.parse().unwrap();
            let values = fields.iter().map(|value| value.as_bytes());

            let client = client(peer, values, &trusted);

            let written: Vec<IpAddr> = fields
                .iter()
                .flat_map(|field| field.split(','))
                .filter_map(|entry| parse(entry.as_bytes()))
                .collect();
            prop_assert!(client == peer || is_trusted(peer, &trusted) && written.contains(&client));
            prop_assert_eq!(client, client.to_canonical());
        }
    }
}
