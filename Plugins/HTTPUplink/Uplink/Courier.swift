import Glibc
import LockerKit
import Logging

/// One POST to the upstream. The real one is ``HTTPTransport``; tests bring their own.
protocol Transport: Sendable {
    /// Sends `beat` and returns the answer, or throws when there was none. Bounded by `timeout`; ends when cancelled.
    func post(
        _ beat: String, headers: [(name: String, value: String)], timeout: Duration
    ) async throws(LockerError) -> Answer
}

/// Brings one beat to the upstream: again and again, ever slower, while that may help and there is time.
struct Courier: Sendable {
    /// All the time one beat may take. The daemon gives a delivery 30 s and ends a module that takes longer.
    static let budget: Duration = .seconds(27)
    /// First pause between attempts; each following one is twice as long.
    static let firstPause: Duration = .milliseconds(500)
    static let longestPause: Duration = .seconds(8)

    let settings: UplinkSettings
    let transport: any Transport
    let files: FileReader
    let clock: any MonotonicClock
    let logger: Logger
    /// Numbers from 0 to below 1.
    var random: @Sendable () -> Double = { .random(in: 0..<1) }
    /// Seconds since 1970.
    var wallSeconds: @Sendable () -> Int = { time(nil) }

    /// Returns once the upstream answered with a 2xx status. `key` makes a repetition recognisable.
    func deliver(_ beat: String, key: String) async throws(LockerError) {
        let deadline = clock.now.advanced(by: Self.budget)
        for number in 1... {
            switch await attempt(beat, key: key) {
            case .delivered: return
            case .refused(let error): throw error
            case .later(let error, let wait):
                let pause = max(wait, Self.pause(after: number, random: random()))
                let next = clock.now.advanced(by: pause)
                // An attempt that could not have its whole time would fail for a reason of its own making.
                guard next.advanced(by: settings.timeout) <= deadline else { throw error }
                logger.debug(
                    "\(error.message); trying again in \(Int(pause / .milliseconds(1))) ms")
                do {
                    try await clock.sleep(until: next, tolerance: nil)
                } catch {
                    throw LockerError(.cancelled, "the delivery was cancelled", sent: .maybe)
                }
            }
        }
    }

    /// Pause after the attempt with this number, from 1: doubling up to the longest, shortened by chance by up to a half
    /// so that sites do not come back together.
    static func pause(after attempt: Int, random: Double) -> Duration {
        let whole = min(longestPause, firstPause * (1 << min(attempt - 1, 16)))
        return whole * (1 - random / 2)
    }

    private func attempt(_ beat: String, key: String) async -> Verdict {
        do throws(LockerError) {
            // Read anew each time, so a rotated token needs no restart.
            var token: BearerToken?
            if let file = settings.tokenFile { token = try await files.token(at: file) }
            var headers = [
                (name: "Content-Type", value: "application/json"),
                (name: "User-Agent", value: "lockerd-http/\(HTTPUplink.version)"),
                (name: "Idempotency-Key", value: key),
            ]
            if let token { headers.append(("Authorization", "Bearer \(token.secret)")) }
            let answer = try await transport.post(
                beat, headers: headers, timeout: settings.timeout)
            return answer.verdict(from: settings.endpoint, token: token, now: wallSeconds())
        } catch {
            switch error.code {
            case .linkDown, .timedOut: return .later(error, wait: .zero)
            default: return .refused(error)
            }
        }
    }
}
