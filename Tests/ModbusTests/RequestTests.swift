import BusKit
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

@Suite struct `Orders` {
    @Test(arguments: [
        (CoilOrder(unit: 1, address: 0, value: 0xFF00), "01 05 00 00 ff 00"),
        (CoilOrder(unit: 1, address: 7, value: 0), "01 05 00 07 00 00"),
        (CoilOrder(unit: 247, address: 0x0203, value: 2), "f7 05 02 03 00 02"),
        (CoilOrder(unit: 5, address: 0xFFFF, value: 0x7FFF), "05 05 ff ff 7f ff"),
        (CoilOrder(unit: 9, function: .register, address: 3, value: 0x0500), "09 06 00 03 05 00"),
    ])
    func `have the bytes of their function`(order: CoilOrder, bytes: String) {
        #expect(hex(order.bytes) == bytes)
    }

    static let order = CoilOrder(unit: 1, address: 2, value: 0xFF00)
    static let tcpEcho: [UInt8] = [0, 0, 0, 0, 0, 6, 1, 5, 0, 2, 0xFF, 0]

    @Test func `are confirmed by their own words only`() {
        #expect(Self.order.verdict(on: Self.tcpEcho, .tcp) == .echoed)
        #expect(Self.order.verdict(on: [1, 5, 0, 2, 0xFF, 0, 0xAA, 0xBB], .rtu) == .echoed)
        // Every single bit of the answer counts.
        for byte in Self.tcpEcho.indices {
            for bit in 0..<8 {
                var frame = Self.tcpEcho
                frame[byte] ^= 1 << UInt8(bit)
                #expect(Self.order.verdict(on: frame, .tcp) != .echoed, "\(hex(frame))")
            }
        }
        for length in 0..<Self.tcpEcho.count {
            #expect(Self.order.verdict(on: Array(Self.tcpEcho.prefix(length)), .tcp) != .echoed)
        }
        #expect(Self.order.verdict(on: Self.tcpEcho + [0], .tcp) != .echoed)
    }

    @Test func `are refused by an exception of the same unit and function only`() {
        #expect(Self.order.verdict(on: [0, 0, 0, 0, 0, 3, 1, 0x85, 2], .tcp) == .exception(2))
        #expect(Self.order.verdict(on: [1, 0x85, 4, 0, 0], .rtu) == .exception(4))
        for frame: [UInt8] in [
            [0, 0, 0, 0, 0, 3, 2, 0x85, 2], [0, 0, 0, 0, 0, 3, 1, 0x86, 2],
            [0, 1, 0, 0, 0, 3, 1, 0x85, 2], [0, 0, 0, 0, 0, 4, 1, 0x85, 2, 0],
        ] {
            guard case .unusable = Self.order.verdict(on: frame, .tcp) else {
                Issue.record("\(hex(frame)) was believed")
                continue
            }
        }
    }

    @Test func `to boards that repeat all but the value are confirmed by the rest`() {
        for byte in 6..<10 {
            for bit in 0..<8 {
                var frame = Self.tcpEcho
                frame[byte] ^= 1 << UInt8(bit)
                #expect(Self.order.verdict(on: frame, .tcp, .address) != .echoed, "\(hex(frame))")
            }
        }
        var other = Self.tcpEcho
        other[10] = 0
        #expect(Self.order.verdict(on: other, .tcp, .address) == .echoed)
        #expect(Self.order.verdict(on: other, .tcp, .exact) != .echoed)
        other.removeLast()
        other[5] = 5
        #expect(Self.order.verdict(on: other, .tcp, .address) != .echoed)
    }

    @Test func `survive whatever comes back`() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<20_000 {
            var frame = random.mutate(Self.tcpEcho)
            if Bool.random(using: &random) {
                frame = (0..<Int.random(in: 0...260, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            }
            for framing in [Framing.tcp, .rtu] {
                let verdict = Self.order.verdict(on: frame, framing)
                if case .echoed = verdict, framing == .tcp { #expect(frame == Self.tcpEcho) }
            }
        }
    }
}

@Suite struct `A read` {
    @Test func `covers all points at once`() throws {
        let inputs = try #require(ReadRequest(.discreteInputs, covering: [0, 7, 3]))
        #expect(inputs == ReadRequest(function: .discreteInputs, address: 0, count: 8))
        let far = try #require(ReadRequest(.coils, covering: [65_535, 65_530]))
        #expect(far == ReadRequest(function: .coils, address: 65_530, count: 6))
        let registers = try #require(ReadRequest(.holdingRegisters, covering: [16, 47]))
        #expect(registers == ReadRequest(function: .holdingRegisters, address: 1, count: 2))
    }

    @Test func `stays within what one request may ask`() {
        #expect(ReadRequest(.coils, covering: []) == nil)
        #expect(ReadRequest(.coils, covering: [-1]) == nil)
        #expect(ReadRequest(.coils, covering: [0, 1999]) != nil)
        #expect(ReadRequest(.coils, covering: [0, 2000]) == nil)
        #expect(ReadRequest(.coils, covering: [65_536]) == nil)
        #expect(ReadRequest(.inputRegisters, covering: [0, 125 * 16 - 1]) != nil)
        #expect(ReadRequest(.inputRegisters, covering: [0, 125 * 16]) == nil)
    }

    @Test func `finds each point in the answer`() throws {
        let inputs = try #require(ReadRequest(.discreteInputs, covering: [4, 6]))
        #expect([4, 5, 6].map { inputs.level(of: $0, in: [1, 0, 1]) } == [true, false, true])
        #expect(inputs.level(of: 3, in: [1, 0, 1]) == nil)
        #expect(inputs.level(of: 7, in: [1, 0, 1]) == nil)
        let registers = try #require(ReadRequest(.inputRegisters, covering: [16, 33]))
        #expect(registers.level(of: 16, in: [1, 2]) == true)
        #expect(registers.level(of: 17, in: [1, 2]) == false)
        #expect(registers.level(of: 33, in: [1, 2]) == true)
        #expect(registers.level(of: 31, in: [0x8000, 0]) == true)
    }
}

@Suite struct `A fault` {
    @Test(arguments: [
        (Fault.down("x"), LockerError.Code.linkDown, LockerError.Fired.no, LockerError.Sent.no),
        (.notSent("x"), .linkDown, .no, .no),
        (.halfSent("x"), .linkDown, .unknown, .maybe),
        (.lost("x"), .linkDown, .unknown, .yes),
        (.silent(.milliseconds(500)), .timedOut, .unknown, .yes),
        (.garbled("x"), .timedOut, .unknown, .yes),
        (.exception(2), .refused, .no, .yes),
        (.exception(4), .refused, .unknown, .yes),
        (.exception(6), .busy, .no, .yes),
        (.exception(11), .timedOut, .unknown, .yes),
    ])
    func `says truthfully what may have happened`(
        fault: Fault, code: LockerError.Code, fired: LockerError.Fired, sent: LockerError.Sent
    ) {
        let error = fault.fateful("board (unit 1), asked to fire locker 3,")
        #expect(error.code == code && error.fired == fired && error.sent == sent)
        #expect(!error.message.isEmpty && !error.message.hasSuffix("."))
        let harmless = fault.harmless("board (unit 1)")
        #expect(harmless.code == code && harmless.fired == .no && harmless.sent == .no)
    }
}

@Suite struct `Reconnection pauses` {
    @Test func `grow from a quarter of a second to fifteen seconds and never end`() {
        var reconnection = Reconnection()
        var now = ContinuousClock.now
        var pauses: [Duration] = []
        for _ in 0..<12 {
            reconnection.noteFailure("gone", at: now)
            let next = reconnection.nextTry ?? now
            pauses.append(now.duration(to: next))
            #expect(reconnection.excuse(at: next - .milliseconds(1)) != nil)
            #expect(reconnection.excuse(at: next) == nil)
            now = next
        }
        #expect(
            pauses.prefix(7) == [
                .milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4),
                .seconds(8), .seconds(15),
            ])
        #expect(pauses.suffix(5).allSatisfy { $0 == .seconds(15) })
    }

    @Test func `start anew once a board has answered, not when it was merely reached`() {
        let now = ContinuousClock.now
        var reconnection = Reconnection()
        for _ in 0..<4 { reconnection.noteFailure("gone", at: now) }
        reconnection.noteConnected()
        #expect(reconnection.excuse(at: now) == nil)
        reconnection.noteFailure("gone", at: now)
        #expect(reconnection.nextTry == now + .seconds(4))
        reconnection.noteAnswer()
        reconnection.noteFailure("gone", at: now)
        #expect(reconnection.nextTry == now + .milliseconds(250))
    }

    @Test func `are explained with cause and time`() {
        let now = ContinuousClock.now
        var reconnection = Reconnection()
        reconnection.noteFailure("connection refused", at: now)
        #expect(reconnection.excuse(at: now) == "connection refused; next try in 0.3 s")
    }
}
