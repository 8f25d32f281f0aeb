package import BusKit
import Glibc

/// The owner of a serial port, or of a TCP connection that leads to one.
///
/// Every call may block up to the limit it is given, so it belongs on a `DeviceQueue`.
package struct SerialPort: BusPort, ~Copyable {
    /// Nothing in these frames tells one answer from another.
    package static let isNumbered = false

    private let transport: LinkSettings.Transport
    private var target: (address: String, service: Int)?
    private var handle: Int32 = -1
    private let nature = LineNature()

    /// Touches neither network nor port.
    package init(_ transport: LinkSettings.Transport) throws(PortFailure) {
        self.transport = transport
    }

    deinit { if handle >= 0 { SerialHandle.close(handle) } }

    package mutating func turn(to address: String, _ service: Int) throws(PortFailure) {
        target = (address, service)
    }

    package mutating func open(
        within limit: Duration, deliveringFor patience: Duration
    ) throws(PortFailure) {
        close()
        nature.repeats = nil
        switch transport {
        case .serial(let serial): try openSerial(serial)
        case .tcp(let host, let port):
            try connect(to: target ?? (host, port), within: limit)
            try NetworkHandle.forbidLateDelivery(handle, after: patience)
        }
    }

    package mutating func close() {
        guard handle >= 0 else { return }
        SerialHandle.close(handle)
        handle = -1
    }

    // MARK: Opening

    private mutating func openSerial(_ serial: LinkSettings.Serial) throws(PortFailure) {
        // Without waiting for a carrier that no RS-485 line has.
        handle = Glibc.open(serial.device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        guard handle >= 0 else { throw failure(.open) }
        try SerialHandle.keepToOurselves(handle)
        var mode = termios()
        guard tcgetattr(handle, &mode) == 0 else { throw failure(.open) }
        cfmakeraw(&mode)
        mode.c_cflag |= tcflag_t(CLOCAL | CREAD)
        // CRTSCTS, the highest bit, which does not fit the type that Swift gives the others.
        let flowControl: tcflag_t = 1 << 31
        mode.c_cflag &= ~(tcflag_t(CSTOPB | PARENB | PARODD) | flowControl)
        if serial.stopBits == 2 { mode.c_cflag |= tcflag_t(CSTOPB) }
        switch serial.parity {
        case .none: break
        case .even: mode.c_cflag |= tcflag_t(PARENB)
        case .odd: mode.c_cflag |= tcflag_t(PARENB | PARODD)
        }
        guard let speed = Self.speeds[serial.baud] else {
            throw PortFailure(step: .open, errno: EINVAL)
        }
        cfsetispeed(&mode, speed)
        cfsetospeed(&mode, speed)
        guard tcsetattr(handle, TCSANOW, &mode) == 0 else { throw failure(.open) }
        tcflush(handle, TCIOFLUSH)
    }

    private static let speeds: [Int: speed_t] = [
        1200: speed_t(B1200), 2400: speed_t(B2400), 4800: speed_t(B4800), 9600: speed_t(B9600),
        19_200: speed_t(B19200), 38_400: speed_t(B38400), 57_600: speed_t(B57600),
        115_200: speed_t(B115200),
    ]

    private mutating func connect(
        to target: (address: String, service: Int), within limit: Duration
    ) throws(PortFailure) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(target.address, String(target.service), &hints, &list)
        guard code == 0, let entry = list?.pointee else {
            throw PortFailure(step: .resolve, errno: code)
        }
        defer { freeaddrinfo(list) }
        let flags = Int32(SOCK_STREAM.rawValue) | O_NONBLOCK | O_CLOEXEC
        handle = socket(entry.ai_family, flags, 0)
        guard handle >= 0 else { throw failure(.open) }
        if Glibc.connect(handle, entry.ai_addr, entry.ai_addrlen) != 0 {
            guard errno == EINPROGRESS else { throw failure(.open) }
            guard wait(for: POLLOUT, until: .now + limit) else {
                throw PortFailure(step: .open, errno: ETIMEDOUT)
            }
        }
        var problem: Int32 = 0
        var size = socklen_t(MemoryLayout.size(ofValue: problem))
        getsockopt(handle, SOL_SOCKET, SO_ERROR, &problem, &size)
        guard problem == 0 else { throw PortFailure(step: .open, errno: problem) }
        var noDelay: Int32 = 1
        try NetworkHandle.set(
            handle, Int32(IPPROTO_TCP), TCP_NODELAY, to: &noDelay,
            socklen_t(MemoryLayout.size(ofValue: noDelay)))
    }

    // MARK: State

    package func useKernelDirection() -> Bool {
        // `struct serial_rs485` of <linux/serial.h>: flags, two delays in milliseconds, padding; eight words in all.
        var mode: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) =
            (0, 0, 0, 0, 0, 0, 0, 0)
        // TIOCGRS485 and TIOCSRS485 of <asm-generic/ioctls.h>, which do not reach Swift.
        let (get, set): (UInt, UInt) = (0x542E, 0x542F)
        guard withUnsafeMutablePointer(to: &mode, { ioctl(handle, get, $0) }) == 0 else {
            return false
        }
        // SER_RS485_ENABLED.
        mode.0 |= 1
        return withUnsafeMutablePointer(to: &mode) { ioctl(handle, set, $0) } == 0
    }

    package func isQuiet() -> Bool {
        guard let events = poll(POLLIN, 0) else { return true }
        guard events & (POLLHUP | POLLERR | POLLNVAL) == 0 else { return false }
        return drain()
    }

    package func hasBytes() -> Bool { poll(POLLIN, 0) == POLLIN }

    package func flush() { _ = drain() }

    /// Throws away what has come; false where the other end has hung up.
    private func drain() -> Bool {
        if case .serial = transport { return tcflush(handle, TCIFLUSH) == 0 }
        var bytes = [UInt8](repeating: 0, count: Limits.noise)
        while true {
            let count = read(handle, &bytes, bytes.count)
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
        }
    }

    // MARK: Exchanges

    /// Sends a request and returns what the board answered.
    ///
    /// - Parameter silence: how long nothing comes once an answer is over that does not tell its own length.
    func exchange(
        _ question: Question, _ codec: any Codec, within limit: Duration, silence: Duration
    ) throws(PortFailure) -> Answer {
        let end = ContinuousClock.now + limit
        let request = codec.request(question)
        try send(request, until: end)
        var heard = Heard(request: request, repeats: nature.repeats)
        while true {
            let finding = codec.find(question, in: heard.bytes)
            if case .answer(let answer) = finding {
                return note(answer, to: question, codec, heard)
            }
            var until = end
            if case .perhaps = finding { until = min(end, .now + silence) }
            guard wait(for: POLLIN, until: until) else {
                if case .perhaps(let answer) = finding {
                    return note(answer, to: question, codec, heard)
                }
                throw heard.isEmpty
                    ? PortFailure(step: .receive, errno: ETIMEDOUT)
                    : PortFailure(
                        step: .receive, errno: EBADMSG,
                        detail: "bytes without sense (\(heard.text))")
            }
            try receive(into: &heard)
        }
    }

    /// Only the answer to a question tells whether the line repeats what is sent: it never looks like the question. That it does
    /// not is known only where nothing else came, because a question that was repeated in pieces leaves pieces.
    private func note(
        _ answer: Answer, to question: Question, _ codec: any Codec, _ heard: Heard
    ) -> Answer {
        guard !question.isOrder, nature.repeats != true else { return answer }
        if heard.repeatsRequest {
            nature.repeats = true
        } else if isAll(of: heard.bytes, codec, question) {
            nature.repeats = false
        }
        return answer
    }

    private func isAll(of bytes: [UInt8], _ codec: any Codec, _ question: Question) -> Bool {
        codec.find(question, in: Array(bytes.dropFirst())) == .nothing
            && codec.find(question, in: Array(bytes.dropLast())) == .nothing
    }

    private func send(_ request: [UInt8], until end: ContinuousClock.Instant) throws(PortFailure) {
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes { bytes in
                bytes.baseAddress.map { write(handle, $0 + sent, bytes.count - sent) } ?? 0
            }
            if count > 0 {
                sent += count
                continue
            }
            let code = errno
            guard code == EAGAIN || code == EINTR, wait(for: POLLOUT, until: end) else {
                throw PortFailure(step: .send, errno: sent > 0 ? EBADMSG : code)
            }
        }
    }

    private func receive(into heard: inout Heard) throws(PortFailure) {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(handle, &bytes, bytes.count)
        if count > 0 {
            heard.append(bytes[..<count])
            guard heard.count <= Limits.noise else {
                throw PortFailure(step: .receive, errno: EBADMSG, detail: "noise without end")
            }
            return
        }
        guard count < 0, errno == EAGAIN || errno == EINTR else {
            throw PortFailure(step: .receive, errno: count == 0 ? EIO : errno)
        }
    }

    private func wait(for events: Int32, until end: ContinuousClock.Instant) -> Bool {
        while true {
            let left = ContinuousClock.now.duration(to: end)
            // Rounded up, and once without waiting: what has come in time counts.
            let milliseconds = max(0, Int32(clamping: left.wholeMilliseconds + 1))
            if poll(events, left > .zero ? milliseconds : 0) != nil { return true }
            if left <= .zero { return false }
        }
    }

    /// What has happened; nil where nothing did.
    private func poll(_ events: Int32, _ milliseconds: Int32) -> Int32? {
        var state = pollfd(fd: handle, events: Int16(events), revents: 0)
        guard Glibc.poll(&state, 1, milliseconds) > 0 else { return nil }
        return Int32(state.revents)
    }

    private func failure(_ step: PortFailure.Step) -> PortFailure {
        PortFailure(step: step, errno: errno)
    }

    package static func fault(of failure: PortFailure, within limit: Duration) -> Fault {
        let (errno, words) = (failure.errno, failure.words)
        return switch failure.step {
        case .resolve, .open: .down(words)
        case .send where errno == EBADMSG: .halfSent("the port took only a part of it")
        case .send: .notSent(words)
        case .receive:
            switch errno {
            case ETIMEDOUT: .silent(limit)
            case EBADMSG: .garbled(failure.detail)
            default: .lost(words)
            }
        }
    }
}
