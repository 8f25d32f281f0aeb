import BusKit
import Dispatch
import Glibc
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

/// A connection whose far end has laid an answer ready before it is asked for.
private enum FarEnd {
    /// What `ask` makes of `answer`.
    static func hear<Answer>(
        _ answer: [UInt8], _ framing: Framing,
        _ ask: (borrowing ModbusPort) throws(PortFailure) -> Answer
    ) throws -> Result<Answer, PortFailure> {
        let (listener, transport) = try framing == .tcp ? network() : terminal()
        defer { close(listener) }
        do throws(PortFailure) {
            var port = try ModbusPort(transport)
            try port.open(within: .seconds(5), deliveringFor: .seconds(1))
            let far = framing == .tcp ? accept(listener, nil, nil) : listener
            defer { if framing == .tcp { close(far) } }
            _ = answer.isEmpty ? 0 : write(far, answer, answer.count)
            return .success(try ask(port))
        } catch {
            return .failure(error)
        }
    }

    private static func network() throws -> (Int32, LinkSettings.Transport) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        try #require(isBound && listen(listener, 1) == 0)
        let port = Int(UInt16(bigEndian: address.sin_port))
        return (listener, .tcp(host: "127.0.0.1", port: port))
    }

    private static func terminal() throws -> (Int32, LinkSettings.Transport) {
        // TIOCSPTLCK and TIOCGPTN of <asm-generic/ioctls.h>, behind the calls of <stdlib.h> that do not reach Swift.
        let far = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var lock: Int32 = 0
        var number: UInt32 = 0
        try #require(
            far >= 0 && ioctl(far, 0x4004_5431, &lock) == 0 && ioctl(far, 0x8004_5430, &number) == 0
        )
        let line = LinkSettings.Serial(
            device: "/dev/pts/\(number)", baud: 115_200, parity: .none, stopBits: 1,
            direction: .none)
        return (far, .serial(line))
    }
}

/// The whole way of an answer, libmodbus included, from the bytes on a connection to what is made of them.
@Suite struct `Answers that an enemy made` {
    private static let unit: UInt8 = 1
    private static let limit: Duration = .milliseconds(3)

    /// The polynomial of the specification, bit by bit.
    private static func sealed(_ content: [UInt8], _ framing: Framing) -> [UInt8] {
        guard framing == .rtu else {
            return [0, 0, 0, 0, 0, UInt8(truncatingIfNeeded: content.count)] + content
        }
        var sum: UInt16 = 0xFFFF
        for byte in content {
            sum ^= UInt16(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xA001 : 0) }
        }
        return content + [UInt8(sum & 0xFF), UInt8(sum >> 8)]
    }

    /// An honest answer, most often with something wrong: bytes changed, also with a checksum that fits.
    private static func answer(
        _ honest: [UInt8], _ framing: Framing, _ random: inout SeededGenerator
    ) -> [UInt8] {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: sealed(honest, framing)
        case 1, 2: sealed(random.mutate(honest), framing)
        case 3:
            (0..<Int.random(in: 0...270, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
        default: random.mutate(sealed(honest, framing))
        }
    }

    private struct Count: Sendable {
        var believed = 0
        var doubted = 0
        /// Answers that were believed and should not have been.
        var wrong: [String] = []
    }

    /// Runs `body` often, on a thread that may be held up. It returns whether an answer was believed, and whether that was right.
    private static func count(
        seed: UInt64,
        _ body: @escaping @Sendable (inout SeededGenerator) throws -> (answer: [UInt8], Bool?)
    ) async throws -> Count {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        var random = SeededGenerator(seed: seed)
                        var count = Count()
                        for _ in 0..<1500 {
                            let (answer, isRight) = try body(&random)
                            if isRight == nil { count.doubted += 1 } else { count.believed += 1 }
                            if isRight == false { count.wrong.append(hex(answer)) }
                        }
                        return count
                    })
            }
        }
    }

    @Test(arguments: [Framing.tcp, .rtu])
    func `to a read are believed only where they answer it`(framing: Framing) async throws {
        let count = try await Self.count(seed: 41) { random in
            let doors = UInt8.random(in: 0...255, using: &random)
            let answer = Self.answer([Self.unit, 2, 1, doors], framing, &random)
            let request = ReadRequest(function: .discreteInputs, address: 0, count: 8)
            let heard = try FarEnd.hear(answer, framing) { port throws(PortFailure) in
                try port.read(request, unit: Self.unit, within: Self.limit)
            }
            guard case .success(let levels) = heard else { return (answer, nil) }
            let byte = levels.enumerated().reduce(0) { $0 | $1.element << UInt16($1.offset) }
            let meant = Self.sealed([Self.unit, 2, 1, UInt8(truncatingIfNeeded: byte)], framing)
            return (answer, Array(answer.prefix(meant.count)) == meant)
        }
        #expect(count.wrong == [])
        #expect(count.believed > 100 && count.doubted > 500, "\(count)")
    }

    @Test(arguments: [Framing.tcp, .rtu])
    func `to an order are an echo or none`(framing: Framing) async throws {
        let order = CoilOrder(unit: Self.unit, address: 2, value: 0xFF00)
        let count = try await Self.count(seed: 42) { random in
            let answer = Self.answer(order.bytes, framing, &random)
            let heard = try FarEnd.hear(answer, framing) { port throws(PortFailure) in
                try port.exchange(order.bytes, within: Self.limit)
            }
            guard case .success(let frame) = heard, order.verdict(on: frame, framing) == .echoed
            else { return (answer, nil) }
            let meant = Self.sealed(order.bytes, framing)
            return (answer, Array(answer.prefix(meant.count)) == meant)
        }
        #expect(count.wrong == [])
        #expect(count.believed > 100 && count.doubted > 500, "\(count)")
    }
}
