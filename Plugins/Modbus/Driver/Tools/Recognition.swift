import BusKit

/// What a unit made of a question that only reads.
package enum Reading: Sendable, Equatable {
    case values([UInt16])
    /// The exception with this number: there is a board, and it does not know that.
    case refused(UInt8)
    /// Bytes that are no answer: noise, a wrong rate, or two boards at once.
    case garbled
    case silent
    /// The port is gone.
    case lost(String)

    var isAnswer: Bool {
        switch self {
        case .values, .refused: true
        case .garbled, .silent, .lost: false
        }
    }
}

/// How well a board profile fits what a unit answers.
package struct Match: Sendable {
    package let candidate: ScanRequest.Candidate
    package let score: Int
    /// What speaks for it and against it.
    package let reasons: [String]
}

/// Finds the board profiles that a unit may be of, by questions that only read.
///
/// Boards do not say what they are. What can be told is whether one answers what a profile would ask it, and refuses what lies
/// beyond the profile's last lock; so several profiles may fit, and the person who wired the board decides.
struct Recognition: Sendable {
    let unit: UInt8
    /// Asks the unit, once for each question.
    let ask: @Sendable (ReadRequest) async -> Reading

    func matches(among candidates: [ScanRequest.Candidate]) async -> [Match] {
        var known: [String: Reading] = [:]
        // A board that leaves a function unanswered does so with every address, and each question would cost a time-out.
        var mute: Set<ReadFunction> = []
        var matches: [Match] = []
        for candidate in candidates {
            var score = 0
            var reasons: [String] = []
            for trait in traits(of: candidate) {
                let key = "\(trait.request)"
                let reading: Reading
                if let before = known[key] {
                    reading = before
                } else if mute.contains(trait.request.function) {
                    reading = .silent
                } else {
                    reading = await ask(trait.request)
                    known[key] = reading
                    if reading == .silent { mute.insert(trait.request.function) }
                }
                let fits = trait.fits(reading)
                score += fits ? trait.weight : -trait.weight
                reasons.append(fits ? trait.claim : "not: \(trait.claim)")
            }
            matches.append(Match(candidate: candidate, score: score, reasons: reasons))
        }
        return matches.filter { $0.score > 0 }.sorted {
            ($0.score, $1.candidate.name) > ($1.score, $0.candidate.name)
        }
    }

    private struct Trait {
        let request: ReadRequest
        let weight: Int
        let claim: String
        let fits: (Reading) -> Bool
    }

    private func traits(of candidate: ScanRequest.Candidate) -> [Trait] {
        let profile = candidate.profile
        var traits: [Trait] = []
        if let register = profile.unitRegister {
            let unit = UInt16(unit)
            traits.append(
                Trait(
                    request: ReadRequest(
                        function: .holdingRegisters, address: register, count: 1), weight: 6,
                    claim: "holding register \(register) holds its unit"
                ) { $0 == .values([unit]) })
        }
        if let doors = profile.doors,
            let request = ReadRequest(
                doors.function,
                covering: [doors.first, doors.first + (candidate.lockers - 1) * doors.step])
        {
            traits.append(
                Trait(
                    request: request, weight: 3,
                    claim: "\(candidate.lockers) sensors read as \(doors.function.word)",
                    fits: isValues))
        }
        let outputs = profile.write.readBack
        guard profile.readBack || profile.doors == nil else { return traits }
        traits.append(
            Trait(
                request: ReadRequest(
                    function: outputs, address: profile.firstCoil, count: candidate.lockers),
                weight: 2, claim: "\(candidate.lockers) outputs read as \(outputs.word), all off"
            ) { reading in
                // At rest they are. Where coils show closed doors instead, this board would be switched "off", and open them all.
                guard case .values(let values) = reading, let off = profile.readsOff else {
                    return isValues(reading)
                }
                return values.allSatisfy { $0 == off }
            })
        let beyond = profile.firstCoil + candidate.lockers
        traits.append(
            Trait(
                request: ReadRequest(function: outputs, address: beyond, count: 1), weight: 1,
                claim: "there is no output beyond \(candidate.lockers)"
            ) { !isValues($0) })
        return traits
    }
}

private func isValues(_ reading: Reading) -> Bool {
    if case .values = reading { true } else { false }
}
