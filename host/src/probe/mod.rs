//! Ping, SSH, TCP: how this program touches the network.
