import BusKit
import LockerKit

/// The exception codes of the Modbus application protocol, section 7.
enum ExceptionCode {
    static func name(_ code: UInt8) -> String {
        switch code {
        case 1: "exception 1, illegal function"
        case 2: "exception 2, illegal data address"
        case 3: "exception 3, illegal data value"
        case 4: "exception 4, device failure"
        case 5: "exception 5, acknowledged but not done yet"
        case 6: "exception 6, device busy"
        case 7: "exception 7, negative acknowledge"
        case 8: "exception 8, memory parity error"
        case 10: "exception 10, gateway has no path to it"
        case 11: "exception 11, gateway got no answer from it"
        default: "exception \(code)"
        }
    }

    /// Whether a board that answers so has certainly not acted.
    ///
    /// Not so after 4, which a board sends when it failed while acting, after 5, which announces that it will act, and after
    /// 11, where a gateway has passed the request on.
    static func provesIdle(_ code: UInt8) -> Bool {
        switch code {
        case 1, 2, 3, 6, 7, 10: true
        default: false
        }
    }

    static func meaning(_ code: UInt8) -> LockerError.Code {
        switch code {
        case 6: .busy
        case 10, 11: .timedOut
        default: .refused
        }
    }
}

extension Fault {
    /// A board's exception, by its code.
    static func exception(_ code: UInt8) -> Fault {
        .refused(
            Refusal(
                number: code, words: ExceptionCode.name(code), code: ExceptionCode.meaning(code),
                provesIdle: ExceptionCode.provesIdle(code)))
    }
}
