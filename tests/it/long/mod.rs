//! What takes minutes or needs the machine to itself: load, greed, starvation, kills by the
//! thousand. Run by `./check-long`, not by the everyday command.

mod greed;
