/// The bounds of everything that is asked over a shared line.
package enum BusLimits {
    /// Milliseconds a board may take to answer. The core waits 5 s beyond the pulse for everything an open does.
    ///
    /// This and ``connect`` are also what an off may have to wait for, and a module that is told to end is gone after 1.8 s.
    package static let response = 20...1000
    /// Milliseconds between an answer and the next request.
    package static let spacing = 0...500
    /// Milliseconds of silence that a board may need after an exchange. Off has to wait for it, too.
    package static let gap = 0...50
    /// Milliseconds to reach a TCP endpoint.
    package static let connect = 50...1000

    /// How many times a line that is not silent is given the time between two frames once more.
    package static let silences = 8

    /// How many addresses of a host name are tried in turn.
    package static let addresses = 4

    /// For reading the doors; the core waits 5 s.
    package static let doors: Duration = .seconds(4)

    /// Pauses between two attempts to connect.
    package static let shortestPause: Duration = .milliseconds(250)
    package static let longestPause: Duration = .seconds(15)
}
