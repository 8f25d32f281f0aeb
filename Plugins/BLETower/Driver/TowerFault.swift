import BLERadio
import LockerKit
import TowerLink

/// Why a tower did not do what it was asked.
struct TowerFault: Error, Equatable {
    enum Kind: Equatable {
        /// No connection, or no session.
        case away
        /// No answer in time.
        case late
        /// Nobody wants it any more; nothing was sent.
        case cancelled
        /// Its deadline has passed; nothing was sent.
        case expired
        /// What came was not the tower's word, or none of the protocol's.
        case dishonest
        /// The tower says no; nil where its number is none of the dialect's.
        case refused(Dialect.Code?)
    }

    let kind: Kind
    let words: String
    /// Whether the command may have reached the tower.
    var wasSent = false

    init(_ kind: Kind, _ words: String) {
        self.kind = kind
        self.words = words
    }

    init(_ fault: BLEFault) {
        switch fault {
        case .late: self.init(.late, fault.description)
        case .nonsense: self.init(.dishonest, fault.description)
        case .noAdapter, .notPermitted, .lost, .refused: self.init(.away, fault.description)
        }
    }

    init(_ error: TowerLinkError, _ dialect: Dialect) {
        switch error {
        case .refused(let number, let message):
            let code = dialect.code(Int64(number))
            let name = code.map { "\($0.rawValue) (\(number))" } ?? "error \(number)"
            self.init(
                .refused(code),
                "the tower refuses: \(name)" + (message.isEmpty ? "" : ", \(message)"))
        case .malformed, .forged, .replayed: self.init(.dishonest, error.description)
        }
    }

    /// Whether the same may be asked again a little later.
    var isBusy: Bool { kind == .refused(.lockersBusy) || kind == .refused(.syncBusy) }

    /// Whether the session is over while the connection may go on; the tower has then not done what it was asked.
    var hasLostSession: Bool {
        kind == .refused(.noSession) || kind == .refused(.sessionUnknown)
    }

    /// The same as a fault of getting to a session, where no command has gone out yet. A tower that grants none says so without proof.
    var ofConnecting: TowerFault {
        guard case .refused = kind, !isBusy else {
            var fault = self
            fault.wasSent = false
            return fault
        }
        return TowerFault(.away, "it grants no session: \(words)")
    }

    /// What a caller is told whose command moves nothing.
    func harmless(_ name: String) -> LockerError {
        LockerError(code, "\(name): \(words)", fired: .no, sent: wasSent ? .yes : .no)
    }

    /// What a caller is told whose command opens a door.
    func fateful(_ name: String) -> LockerError {
        let fired: LockerError.Fired
        switch kind {
        case .refused(.port), .refused(.memory), .refused(.unknown), .refused(nil): fired = .unknown
        case .refused, .cancelled, .expired: fired = .no
        case .away, .late, .dishonest: fired = wasSent ? .unknown : .no
        }
        return LockerError(
            code, "\(name): \(words)", fired: fired, sent: wasSent ? .yes : .no)
    }

    private var code: LockerError.Code {
        switch kind {
        case .away, .dishonest: .linkDown
        case .cancelled: .cancelled
        case .expired: .expired
        case .late: wasSent ? .timedOut : .linkDown
        case .refused(let code):
            switch code {
            case .messageExpired: .expired
            case .lockersBusy, .syncBusy: .busy
            case .lockerNotFound: .unknownLocker
            default: .refused
            }
        }
    }
}
