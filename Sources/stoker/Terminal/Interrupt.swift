import Glibc

/// What Ctrl-C does while a command shows or waits: a last word, then the death that it asks for, so that a script sees
/// the signal and not an exit code.
enum Interrupt {
    /// Hides the cursor; Ctrl-C and SIGTERM bring it back.
    static func restoreCursor() {
        Terminal.write(Array("\u{1b}[?25l\u{1b}[H\u{1b}[2J".utf8))
        signal(SIGINT, restoreCursorAndDie)
        signal(SIGTERM, restoreCursorAndDie)
    }

    /// Says that the daemon goes on with what was asked.
    static func saysThatItGoesOn() {
        signal(SIGINT, sayThatItGoesOnAndDie)
    }
}

/// Signal handlers: at file scope, with nothing in them but write(2), signal(2) and raise(3).
private func restoreCursorAndDie(_ number: CInt) {
    let text: StaticString = "\u{1b}[?25h\n"
    _ = write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    signal(number, SIG_DFL)
    raise(number)
}

private func sayThatItGoesOnAndDie(_ number: CInt) {
    let text: StaticString = "\nstoker: no longer waiting; the daemon goes on with it ('stoker status' shows how far)\n"
    _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    signal(number, SIG_DFL)
    raise(number)
}
