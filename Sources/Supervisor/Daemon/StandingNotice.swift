/// What a standing notice is about.
enum StandingNotice: String, Sendable {
    /// An address of the admin side cannot be had.
    case admin = "the admin side"
    /// The file is invalid, an earlier one is in use.
    case configuration
    /// No file descriptor is left.
    case descriptors = "file descriptors"
    /// It ends again and again.
    case gateway = "the gateway"
    /// systemd does not hear us.
    case notify = "systemd's notify socket"
    /// A new program was not taken over.
    case program
    /// The state directory cannot be written.
    case state = "the state directory"
    /// The admin token cannot be read.
    case token = "the admin token"
    /// Engines are not kept by cgroups.
    case trees
}
