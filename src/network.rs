//! The unit in which addresses are counted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An IPv4 address, or an IPv6 /64, which one subscriber has to themselves. An IPv4-mapped address
/// counts as the IPv4 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network that an address is in.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(beginning(v6, 64)),
            v4 => v4,
        })
    }

    /// The IPv4 /24 or IPv6 /48 that it is in.
    pub fn neighbourhood(self) -> Neighbourhood {
        Neighbourhood(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8)),
            IpAddr::V6(v6) => IpAddr::V6(beginning(v6, 48)),
        })
    }

    /// The IPv6 /48 that it is in; `None` for IPv4.
    pub fn block(self) -> Option<Block> {
        match self.0 {
            IpAddr::V6(v6) => Some(Block(beginning(v6, 48))),
            IpAddr::V4(_) => None,
        }
    }
}

/// The IPv4 /24 or IPv6 /48 that an address is in: many of its addresses may belong to one person,
/// or to many who share a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbourhood(IpAddr);

/// An IPv6 /48: what a provider gives to a customer, or lets its customers share, 65,536 networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block(Ipv6Addr);

/// The address with all bits after the first `bits` set to zero; `bits` is 1 to 128.
fn beginning(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let rest = 128 - bits;
    Ipv6Addr::from(u128::from(address) >> rest << rest)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/48", self.0)
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = text.strip_suffix("/48").and_then(|text| text.parse().ok());
        let block = address.map(|address| Self(beginning(address, 48)));
        block.ok_or_else(|| de::Error::custom("not a block such as 2001:db8:1::/48"))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = text.strip_suffix("/64").unwrap_or(&text);
        let address = address.parse().map_err(|_| {
            de::Error::custom("not a network such as 192.0.2.1 or 2001:db8:1:2::/64")
        })?;
        Ok(Self::of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_64_are_one_and_mapped_addresses_are_ipv4() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn neighbours_share_a_24_or_a_48() {
        let of = |text: &str| Network::of(text.parse().unwrap()).neighbourhood();
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.255"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }

    #[test]
    fn a_48_holds_its_networks_and_ipv4_has_none() {
        let block = |text: &str| Network::of(text.parse().unwrap()).block();
        assert!(block("2001:db8:1::1").is_some());
        assert_eq!(block("2001:db8:1::1"), block("2001:db8:1:ffff::1"));
        assert_ne!(block("2001:db8:1::1"), block("2001:db8:2::1"));
        assert_eq!(block("192.0.2.1"), None);
        assert_eq!(block("::ffff:192.0.2.1"), None);
    }
}
