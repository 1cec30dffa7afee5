import Testing

@testable import Gateway

struct GatewayLogTests {
    @Test(arguments: [
        (GatewayLog.Style.text, #"13:26:40 WARN  lost instance=a-0 reason="not \"there\"\nany more""#),
        (
            .json,
            #"{"time":"2026-11-27T13:26:40Z","level":"warning","message":"lost","instance":"a-0","#
                + #""reason":"not \"there\"\nany more"}"#
        ), (.journal, #"<4>lost instance=a-0 reason="not \"there\"\nany more""#),
    ])
    func aLine(_ style: GatewayLog.Style, _ line: String) {
        let written = GatewayLog.line(
            style, .warning, "lost", [("instance", "a-0"), ("reason", "not \"there\"\nany more")],
            seconds: 1_795_786_000)
        #expect(written == line + "\n")
    }
}
