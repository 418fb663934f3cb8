//! Where this machine listens.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where Linux lists its sockets, for IPv4 and IPv6.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// What the tables call a socket that listens.
const LISTENING: &str = "0A";

/// Where something listens on a port of this machine.
pub(super) enum Listens {
    Nowhere,
    /// On loopback only.
    Locally,
    /// Where others can reach it; one such address.
    Openly(IpAddr),
}

///
/// # Errors
///
/// If this machine does not tell.
pub(super) fn listens(port: u16) -> io::Result<Listens> {
    let mut addresses = Vec::new();
    for path in TABLES {
        match fs::read_to_string(path) {
            Ok(table) => addresses.extend(listening(&table, port)),
            // A machine without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != TABLES[0] => {}
            Err(error) => return Err(error),
        }
    }
    let open = addresses.iter().find(|address| !address.is_loopback());
    Ok(match open {
        Some(address) => Listens::Openly(*address),
        None if addresses.is_empty() => Listens::Nowhere,
        None => Listens::Locally,
    })
}

/// The addresses on which a port listens, according to one table. The unspecified address stands
/// for all.
fn listening(table: &str, port: u16) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let (address, at) = local.split_once(':')?;
        let here = u16::from_str_radix(at, 16).ok()? == port;
        if state != LISTENING || !here {
            return None;
        }
        read_address(address)
    };
    table.lines().filter_map(of_line).collect()
}

/// An address as the tables write it: 32 bits at a time, in the machine's own order of bytes.
fn read_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(at)?);
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_tables_of_linux_are_read() {
        let v4 = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:2328 00000000:0000 0A 00000000:00000000\n   \
            1: 00000000:2329 00000000:0000 0A 00000000:00000000\n   \
            2: 0100007F:2328 0100007F:D2F0 01 00000000:00000000\n";
        let v6 = "   0: 00000000000000000000000001000000:2328 0:0000 0A 0\n   \
            1: 0000000000000000FFFF00000100007F:2328 0:0000 0A 0\n   \
            2: 00000000000000000000000000000000:2328 0:0000 0A 0\n";
        let texts = |port, table| -> Vec<String> {
            listening(table, port)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(texts(9000, v4), ["127.0.0.1"]);
        assert_eq!(texts(9001, v4), ["0.0.0.0"]);
        assert_eq!(texts(9002, v4), [""; 0]);
        assert_eq!(texts(9000, v6), ["::1", "127.0.0.1", "::"]);
    }
}
