import LockerKit

/// What an upstream answered to one POST, cut to what is of use.
struct Answer: Sendable {
    /// Bytes of a body that are read at most.
    static let largestBody = 4096
    /// Bytes of a body that a message shows at most.
    static let shownBody = 200

    let status: Int
    /// The `Retry-After` header as it came.
    var retryAfter: String?
    /// The first ``largestBody`` bytes.
    var body: [UInt8] = []
}

/// What follows from one attempt.
enum Verdict: Sendable, Equatable {
    case delivered
    /// Trying again would bring the same.
    case refused(LockerError)
    /// Trying again may help, but not before `wait`.
    case later(LockerError, wait: Duration)
}

extension Answer {
    /// Judges the answer of `endpoint`. `now` is the time in seconds since 1970, for a `Retry-After` that is a date.
    func verdict(from endpoint: Endpoint, token: BearerToken?, now: Int) -> Verdict {
        let error = LockerError(
            .refused, "\(endpoint.name) answered \(status)\(explanation(token))", sent: .yes)
        switch status {
        case 200..<300: return .delivered
        case 408, 429, 500...599:
            let wait = retryAfter.flatMap { RetryAfter.seconds($0, now: now) } ?? 0
            guard wait > 0 else { return .later(error, wait: .zero) }
            let waiting = LockerError(
                .refused, "\(error.message); it asks to wait \(wait) s", sent: .yes)
            return .later(waiting, wait: .seconds(wait))
        case 300..<400:
            return .refused(
                LockerError(
                    .refused,
                    "\(endpoint.name) answered \(status); redirects are not followed, set url to the new place",
                    sent: .yes))
        default: return .refused(error)
        }
    }

    /// The body's beginning in quotes, unless it might give away the token.
    private func explanation(_ token: BearerToken?) -> String {
        let hint = status == 401 || status == 403 ? " (check token_file)" : ""
        guard !body.isEmpty, token?.isHinted(in: body) != true else { return hint }
        let shown = body.prefix(Self.shownBody).map { (0x20...0x7E).contains($0) ? $0 : 0x20 }
        let text = String(decoding: shown, as: UTF8.self)
        return "\(hint): \"\(text.replacing("\"", with: "'"))\""
    }
}
