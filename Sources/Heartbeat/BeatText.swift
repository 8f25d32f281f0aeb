import JSONLines
import LockerCore
import SiteModel

extension BeatInput {
    /// The beat as one line of JSON, with the opens counted after `mark`.
    package func text(since mark: DeliveryMark) -> String {
        var writer = JSONWriter(reserving: 2048)
        writer.beginObject()
        writer.member("site", site)
        writer.member("bootId", bootID)
        writer.member("seq", seq)
        writer.member("at", at.rfc3339)
        writer.member("monotonicMs", uptime.wholeMilliseconds)
        writer.member("state", state.rawValue)
        writer.key("daemon")
        writer.beginObject()
        writer.member("version", version)
        writer.endObject()
        writer.member("intervalMs", interval.wholeMilliseconds)
        write(health, to: &writer)
        writeControllers(to: &writer)
        write(lockers, to: &writer)
        write(opens.since(mark.opens), since: mark, to: &writer)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func write(_ health: Health, to writer: inout JSONWriter) {
        writer.member("health", health.level.rawValue)
        writer.key("causes")
        writer.beginArray()
        for cause in health.causes.prefix(BeatLimits.causes) {
            writer.beginObject()
            writer.member("code", cause.code.cut(to: BeatLimits.name))
            writer.member("subject", cause.subject.cut(to: BeatLimits.name))
            writer.member("message", cause.message.cut(to: BeatLimits.text))
            writer.endObject()
        }
        writer.endArray()
        writer.member("causesOmitted", max(0, health.causes.count - BeatLimits.causes))
    }

    private func writeControllers(to writer: inout JSONWriter) {
        var shown = controllers
        if shown.count > BeatLimits.controllers {
            // Whoever cannot be told everything must at least be told what is wrong.
            shown = shown.filter { $0.state != .ready } + shown.filter { $0.state == .ready }
            shown = Array(shown.prefix(BeatLimits.controllers))
        }
        writer.key("controllers")
        writer.beginArray()
        for controller in shown {
            writer.beginObject()
            writer.member("id", controller.id.cut(to: BeatLimits.name))
            writer.member("driver", controller.driver.cut(to: BeatLimits.name))
            writer.member("link", controller.link.cut(to: BeatLimits.name))
            writer.member("state", controller.state.rawValue)
            writer.member("since", controller.since.rfc3339)
            writer.key("lastGoodMs")
            if let lastGood = controller.lastGood {
                writer.int(max(0, lastGood.duration(to: now).wholeMilliseconds))
            } else {
                writer.null()
            }
            writer.member("restarts", controller.restarts)
            writer.member("reason", controller.reason?.cut(to: BeatLimits.text))
            writer.member("lockers", controller.lockers)
            writer.endObject()
        }
        writer.endArray()
        writer.member("controllersOmitted", controllers.count - shown.count)
    }

    private func write(_ lockers: LockerTally, to writer: inout JSONWriter) {
        writer.key("lockers")
        writer.beginObject()
        writer.member("total", lockers.total)
        writer.member("open", lockers.open)
        writer.member("closed", lockers.closed)
        writer.member("unknown", lockers.unknown)
        writer.member("outOfService", lockers.outOfService)
        writer.member("brokenLock", lockers.brokenLock)
        writer.endObject()
    }

    private func write(_ opens: OpenTally, since mark: DeliveryMark, to writer: inout JSONWriter) {
        writer.key("opens")
        writer.beginObject()
        for outcome in Outcome.allCases { writer.member(outcome.rawValue, opens[outcome]) }
        writer.member("failed", opens.failed)
        writer.member("skipped", opens.skipped)
        writer.member("missedEvents", opens.missedEvents)
        writer.member("since", mark.at.rfc3339)
        writer.member("sinceSeq", mark.seq)
        writer.endObject()
    }
}

extension String {
    /// At most `limit` bytes, cut between characters, with spaces for control characters.
    ///
    /// Control characters would take six bytes each in JSON, and reasons come from modules and boards.
    fileprivate func cut(to limit: Int) -> String {
        let isPlain = utf8.count <= limit && utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard !isPlain else { return self }
        var kept = ""
        var length = 0
        for scalar in unicodeScalars {
            let scalar = scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
            length += UTF8.width(scalar)
            guard length <= limit else { break }
            kept.unicodeScalars.append(scalar)
        }
        return kept
    }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
