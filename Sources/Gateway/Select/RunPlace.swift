/// A place on a run that has been taken and not been given to a request yet.
struct RunPlace {
    /// The run's index in the table.
    let run: Int
    /// Whether it is the one that tries a run whose breaker was open.
    let isTrial: Bool
}
