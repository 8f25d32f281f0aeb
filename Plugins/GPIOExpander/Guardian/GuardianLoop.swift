import CGPIO
import GPIOLines
import Glibc
import JSONLines

/// Real lines, each asked for where it is needed.
struct KernelLines: LineSource {
    func drive(
        _ places: [Int], of bank: Bank, at levels: [Bool]
    ) throws(GPIOFailure) -> any OutputLines {
        try LineSet(
            outputs: places.map { bank.lines[$0].offset }, of: Chip.at(bank.chip), at: levels,
            wiring: bank.wiring, consumer: bank.consumer)
    }

    func rest(_ place: Int, of bank: Bank) throws(GPIOFailure) -> any OutputLines {
        try LineSet(
            inputs: [bank.lines[place].offset], of: Chip.at(bank.chip),
            wiring: Wiring(bias: bank.wiring.bias), areWatched: false, consumer: bank.consumer)
    }
}

/// The guardian as a process: orders come on standard input, a socket whose other end only the driver holds. When that end is
/// closed, whatever closed it, every line is switched off and the process ends.
///
/// It has one thread, waits in one place, and allocates little: what it is for has to be done in time.
package enum GuardianLoop {
    /// Exit statuses, as `sysexits.h` numbers them.
    private static let osError: Int32 = 71

    package static func run() -> Never {
        // What ends its driver must not end it too: a group of its own, and only the end of its input tells it to go.
        setsid()
        for number in [SIGTERM, SIGINT, SIGHUP, SIGPIPE] { signal(number, SIG_IGN) }
        let alarm = lkd_alarm_create()
        guard alarm >= 0, fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0 else {
            complain("no timer: \(String(cString: strerror(-alarm)))")
            exit(osError)
        }
        var guardian = Guardian(KernelLines())
        serve(&guardian, alarm)
        switchOffAll(&guardian, alarm)
        exit(0)
    }

    private static func serve(_ guardian: inout Guardian, _ alarm: Int32) {
        var framer = LineFramer(limit: longestMessage)
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            set(alarm, to: guardian.nextDue)
            var polled = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: alarm, events: Int16(POLLIN), revents: 0),
            ]
            poll(&polled, 2, -1)
            if polled[1].revents != 0 { lkd_alarm_clear(alarm) }
            tell(guardian.pass(.now))
            guard polled[0].revents != 0 else { continue }
            let count = read(STDIN_FILENO, &bytes, bytes.count)
            if count == 0 { return }
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else { return }
                continue
            }
            bytes.withUnsafeBytes { framer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            guard takeOrders(&framer, &guardian) else { return }
        }
    }

    /// False where the driver talks nonsense: then it is not to be trusted with coils either.
    private static func takeOrders(_ framer: inout LineFramer, _ guardian: inout Guardian) -> Bool {
        while true {
            var order: Order?
            let outcome = framer.nextLine { line in
                guard let json = try? JSONReader.parse(line) else { return }
                order = try? Order(json: json)
            }
            switch outcome {
            case .needsMore: return true
            case .overlong:
                complain("an order of more than \(longestMessage) bytes")
                return false
            case .line:
                guard let order else {
                    complain("a line that is no order")
                    return false
                }
                tell(guardian.carryOut(order, at: .now))
            }
        }
    }

    /// Tries until it has worked: a driver that starts again meanwhile finds the lines in use, and by whom.
    ///
    /// By the same alarm as the pulses: the machine does not go to sleep over a coil that is on.
    private static func switchOffAll(_ guardian: inout Guardian, _ alarm: Int32) {
        _ = guardian.endAll(at: .now)
        while guardian.isOn {
            set(alarm, to: guardian.nextDue ?? .now + Pulse.shortestPause)
            var polled = pollfd(fd: alarm, events: Int16(POLLIN), revents: 0)
            poll(&polled, 1, -1)
            lkd_alarm_clear(alarm)
            _ = guardian.pass(.now)
        }
    }

    private static func set(_ alarm: Int32, to due: ContinuousClock.Instant?) {
        let left = due.map { max(.nanoseconds(1), ContinuousClock.now.duration(to: $0)) }
        let (seconds, attoseconds) = (left ?? .zero).components
        _ = lkd_alarm_set(
            alarm, UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000))
    }

    /// Never waits: a driver that does not read is as good as gone, and its lines have to be switched off all the same.
    private static func tell(_ answers: [Answer]) {
        for answer in answers {
            let line = answer.json.encoded + [0x0A]
            _ = line.withUnsafeBytes {
                send(
                    STDIN_FILENO, $0.baseAddress, $0.count,
                    Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
        }
    }

    private static func complain(_ text: String) {
        let line = Array("coil-guardian: \(text)\n".utf8)
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
