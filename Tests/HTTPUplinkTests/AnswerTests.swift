import Foundation
import LockerKit
import TestSupport
import Testing

@testable import HTTPUplink

@Suite struct AnswerTests {
    private let endpoint: Endpoint
    private let token: BearerToken

    init() throws {
        endpoint = try Endpoint("https://monitor.example/v1/beats?key=geheim")
        token = try BearerToken(contents: "s3cret-token".utf8, file: "f")
    }

    private func verdict(
        _ status: Int, retryAfter: String? = nil, body: String = ""
    ) -> Verdict {
        Answer(status: status, retryAfter: retryAfter, body: Array(body.utf8))
            .verdict(from: endpoint, token: token, now: 1_000_000_000)
    }

    private func refusal(_ status: Int, body: String = "") -> String? {
        guard case .refused(let error) = verdict(status, body: body) else { return nil }
        #expect(error.code == .refused)
        return error.message
    }

    @Test(arguments: [200, 201, 202, 204, 299])
    func `every 2xx is a delivery`(status: Int) {
        #expect(verdict(status, retryAfter: "7", body: "x") == .delivered)
    }

    @Test(arguments: [400, 401, 403, 404, 405, 409, 410, 413, 422, 499, 600, 100])
    func `other answers are final and named by their status`(status: Int) {
        #expect(refusal(status)?.hasPrefix("monitor.example:443 answered \(status)") == true)
    }

    @Test(arguments: [301, 302, 303, 307, 308])
    func `redirects are refused and the remedy is named`(status: Int) {
        #expect(refusal(status)?.contains("redirects are not followed") == true)
    }

    @Test(arguments: [408, 429, 500, 502, 503, 504, 599])
    func `passing trouble is worth another attempt`(status: Int) {
        guard case .later(let error, let wait) = verdict(status) else {
            Issue.record("not tried again")
            return
        }
        #expect(error.code == .refused)
        #expect(wait == .zero)
    }

    @Test func `the wanted pause is kept and named`() {
        guard case .later(let error, let wait) = verdict(503, retryAfter: "120") else {
            Issue.record("not tried again")
            return
        }
        #expect(wait == .seconds(120))
        #expect(error.message == "monitor.example:443 answered 503; it asks to wait 120 s")
    }

    @Test func `a refusal shows the beginning of the body, in one line`() {
        #expect(
            refusal(400, body: "no \"site\"\nin beat")
                == "monitor.example:443 answered 400: \"no 'site' in beat\"")
        let long = refusal(400, body: String(repeating: "x", count: 4000)) ?? ""
        #expect(long.hasSuffix(": \"\(String(repeating: "x", count: Answer.shownBody))\""))
        #expect(
            refusal(400, body: "\u{1B}[31mé")?.utf8.allSatisfy { (0x20...0x7E).contains($0) }
                == true)
    }

    @Test func `no message holds the token, the path or the query`() {
        for status in [301, 400, 401, 403, 500, 503] {
            let text = "\(verdict(status, body: "wrong token s3cret-token for /v1/beats"))"
            #expect(!text.contains("s3cret"), "\(text)")
            #expect(!text.contains("geheim"))
        }
        #expect(refusal(401)?.contains("check token_file") == true)
    }
}

@Suite struct RetryAfterTests {
    /// 2001-09-09 01:46:40 UTC
    private let now = 1_000_000_000

    @Test(arguments: [
        ("0", 0), ("7", 7), (" 7 ", 7), ("86401", 86_400), ("99999999999999999999999", 86_400),
        ("Sun, 09 Sep 2001 01:47:10 GMT", 30), ("Sun, 09 Sep 2001 01:46:40 GMT", 0),
        ("Sun, 09 Sep 2001 01:00:00 GMT", 0), ("Mon, 01 Jan 2029 00:00:00 GMT", 86_400),
    ])
    func `both forms are understood`(text: String, seconds: Int) {
        #expect(RetryAfter.seconds(text, now: now) == seconds)
    }

    @Test(arguments: [
        "", " ", "-1", "1.5", "soon", "Sun, 09 Sep 2001 01:47:10", "Sun, 09 Foo 2001 01:47:10 GMT",
        "Sun, 09 Sep 2001 25:47:10 GMT", "Sun, 99 Sep 2001 01:47:10 GMT",
        "Sun, 09 Sep 99999999999 01:47:10 GMT",
        "Sun, 09 Sep 2001 01:47 GMT", "Sunday, 09-Sep-01 01:47:10 GMT", "a b c d e f g",
    ])
    func `anything else counts as absent`(text: String) {
        #expect(RetryAfter.seconds(text, now: now) == nil)
    }

    @Test func `no text makes it fall over`() {
        var random = SeededGenerator(seed: 9)
        let valid = Array("Sun, 09 Sep 2001 01:47:10 GMT".utf8)
        for _ in 0..<5000 {
            let bytes = random.mutate(valid)
            let seconds = RetryAfter.seconds(String(decoding: bytes, as: UTF8.self), now: now)
            #expect((0...86_400).contains(seconds ?? 0))
        }
    }
}
