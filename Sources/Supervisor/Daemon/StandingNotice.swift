/// What a standing notice is about.
enum StandingNotice: String, Sendable {
    /// The file is invalid, an earlier one is in use.
    case configuration
    /// A new program was not taken over.
    case program
}
