/// Which build this is.
public enum BuildInfo {
    /// The version, as `stoker version` prints it and every report carries it.
    public static let version = "0.1.0"
}
