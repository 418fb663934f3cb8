//! Backups taken, killed and restored while 32 writers write.

use crate::operator::backups_while_writers_write;

#[test]
fn a_hundred_backups_while_32_writers_write_are_each_one_state() {
    backups_while_writers_write(32, 100);
}
