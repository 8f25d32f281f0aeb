package import BusKit
import CModbus
import Glibc

/// The owner of a libmodbus context, and the only place where libmodbus is called.
///
/// Every call may block up to the limit it is given, so it belongs on a ``DeviceQueue``. No error recovery of the
/// library's is in use: its loops of close and connect inside a request never end while a device is away.
package struct ModbusPort: BusPort, ~Copyable {
    /// The raw requests all carry the transaction number 0, and TCP leads to boards or gateways that keep their answers apart by
    /// connection.
    package static let isNumbered = true

    private var context: OpaquePointer
    let framing: Framing
    /// The serial port's path; nil over TCP.
    private let device: String?
    /// Holds the lock of a serial port, so that it is ours before libmodbus sets its rate; -1 while it is closed.
    private var guardian: Int32 = -1

    /// Makes the context; touches neither network nor port.
    package init(_ transport: LinkSettings.Transport) throws(PortFailure) {
        let made: OpaquePointer?
        switch transport {
        case .tcp(let host, let port):
            made = modbus_new_tcp_pi(host, String(port))
            framing = .tcp
            device = nil
        case .serial(let serial):
            made = modbus_new_rtu(
                serial.device, Int32(serial.baud), serial.parity.letter, 8, Int32(serial.stopBits))
            framing = .rtu
            device = serial.device
        }
        guard let made else { throw PortFailure(step: .open, errno: Glibc.errno) }
        context = made
        Self.setUp(made)
    }

    private static func setUp(_ made: OpaquePointer) {
        // A limit between bytes would start anew with each of them: a board that sends one a second would hold the line for
        // minutes. Without it the whole answer has to come within the response time.
        modbus_set_byte_timeout(made, 0, 0)
    }

    private mutating func letGo() {
        if guardian >= 0 { SerialHandle.close(guardian) }
        guardian = -1
    }

    deinit {
        modbus_close(context)
        modbus_free(context)
        if guardian >= 0 { SerialHandle.close(guardian) }
    }

    // MARK: Connection

    /// Chooses the address that ``open(within:)`` connects to; the port must be closed.
    package mutating func turn(to address: String, _ service: Int) throws(PortFailure) {
        guard let made = modbus_new_tcp_pi(address, String(service)) else {
            throw PortFailure(step: .open, errno: Glibc.errno)
        }
        modbus_free(context)
        context = made
        Self.setUp(made)
    }

    /// - Parameter patience: over TCP, how long the kernel may go on trying to deliver a request.
    package mutating func open(
        within limit: Duration, deliveringFor patience: Duration
    ) throws(PortFailure) {
        if let device { guardian = try SerialHandle.lockBeforehand(device) }
        // libmodbus waits for a connection as long as for an answer.
        setLimit(limit)
        Glibc.errno = 0
        guard modbus_connect(context) == 0 else {
            let code = Glibc.errno
            throw PortFailure(step: .open, errno: code == EINPROGRESS ? ETIMEDOUT : code)
        }
        switch framing {
        case .tcp: try NetworkHandle.forbidLateDelivery(handle, after: patience)
        case .rtu: SerialHandle.exclude(handle)
        }
    }

    /// The descriptor of the connection; -1 while there is none.
    var handle: Int32 { modbus_get_socket(context) }

    /// Ends the connection at once; an order on it that was not delivered never will be.
    package mutating func close() {
        modbus_close(context)
        letGo()
    }

    /// Hands the direction of an RS-485 line to the kernel; false where the port does not offer that.
    package func useKernelDirection() -> Bool {
        modbus_rtu_set_serial_mode(context, MODBUS_RTU_RS485) == 0
    }

    /// Whether the connection can take a request: nobody has hung up, and no byte waits that would be taken for its answer.
    ///
    /// A serial line is emptied instead: noise on it is no reason to open it anew.
    package func isQuiet() -> Bool {
        var state = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
        guard poll(&state, 1, 0) > 0 else { return true }
        let isBroken = Int32(state.revents) & (POLLHUP | POLLERR | POLLNVAL) != 0
        guard framing == .rtu, !isBroken else { return false }
        return modbus_flush(context) >= 0
    }

    package func hasBytes() -> Bool {
        var state = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) > 0 && Int32(state.revents) == POLLIN
    }

    /// Throws away what has come.
    package func flush() { _ = modbus_flush(context) }

    // MARK: Exchanges

    /// Sends a request, beginning with its unit, and returns the whole frame that came back, unchecked but for its length and
    /// checksum.
    ///
    /// libmodbus's own calls check less of an answer over TCP: neither its unit nor its length.
    func exchange(_ request: [UInt8], within limit: Duration) throws(PortFailure) -> [UInt8] {
        setLimit(limit)
        modbus_set_slave(context, Int32(request.first ?? 0))
        Glibc.errno = 0
        guard modbus_send_raw_request(context, request, Int32(request.count)) > 0 else {
            throw PortFailure(step: .send, errno: Glibc.errno)
        }
        var frame = [UInt8](repeating: 0, count: Int(MODBUS_MAX_ADU_LENGTH))
        let length = modbus_receive_confirmation(context, &frame)
        // 0 is a frame of another unit.
        guard length > 0 else {
            throw PortFailure(step: .receive, errno: length == 0 ? Errno.foreign : Glibc.errno)
        }
        return Array(frame.prefix(Int(length)))
    }

    /// Reads levels: one value for each bit or register.
    func read(
        _ request: ReadRequest, unit: UInt8, within limit: Duration
    ) throws(PortFailure) -> [UInt16] {
        let frame = try exchange(request.bytes(for: unit), within: limit)
        switch request.finding(in: frame, framing, unit: unit) {
        case .levels(let levels): return levels
        case .exception(let code):
            throw PortFailure(step: .receive, errno: Self.errno(ofException: code))
        case .unusable: throw PortFailure(step: .receive, errno: Errno.badData)
        }
    }

    private func setLimit(_ limit: Duration) {
        let (seconds, attoseconds) = max(limit, .milliseconds(1)).components
        modbus_set_response_timeout(
            context, UInt32(clamping: seconds), UInt32(attoseconds / 1_000_000_000_000))
    }
}

extension LinkSettings.Parity {
    fileprivate var letter: CChar {
        switch self {
        case .none: CChar(UInt8(ascii: "N"))
        case .even: CChar(UInt8(ascii: "E"))
        case .odd: CChar(UInt8(ascii: "O"))
        }
    }
}

/// Numbers that libmodbus leaves in `errno` beside the system's own. Its macros for them do not reach Swift.
private enum Errno {
    /// A board's exception follows this number, whichever it is: libmodbus's own numbers for them end with 11.
    static let exception = MODBUS_ENOBASE + 0x10000
    static let firstOwn = MODBUS_ENOBASE + 12
    static let badChecksum = firstOwn
    static let badData = firstOwn + 1
    static let tooMuchData = firstOwn + 4
    static let foreign = firstOwn + 5
}

extension ModbusPort {
    static func errno(ofException code: UInt8) -> Int32 { Errno.exception + Int32(code) }

    package static func fault(of failure: PortFailure, within limit: Duration) -> Fault {
        let (errno, words) = (failure.errno, failure.words)
        return switch failure.step {
        case .resolve, .open: .down(words)
        // A part of the request left, and how much nobody knows.
        case .send where errno == Errno.badData: .halfSent("the port took only a part of it")
        case .send: .notSent(words)
        case .receive:
            switch errno {
            case ETIMEDOUT, EAGAIN: .silent(limit)
            case Errno.exception...Errno.exception + 0xFF:
                .exception(UInt8(truncatingIfNeeded: errno - Errno.exception))
            case Errno.badChecksum: .garbled("a wrong checksum")
            case Errno.foreign: .garbled("a frame of another unit")
            case Errno.badData...: .garbled("a frame that does not belong to it")
            default: .lost(words)
            }
        }
    }
}
