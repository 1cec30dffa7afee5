/// The page that asks for the admin token. Without script, so that it works wherever a form does.
enum LoginPage {
    /// The page; `failed` after a wrong token.
    static func html(failed: Bool) -> String {
        let message = failed ? "<p class=\"wrong\" role=\"alert\">That is not the admin token.</p>" : ""
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>Log in · Stoker</title>
            <link rel="icon" href="data:,">
            <link rel="stylesheet" href="/login.css">
            </head>
            <body>
            <main>
            <h1>Stoker</h1>
            <form method="post" action="/login">
            <label for="token">Admin token</label>
            <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
            \(message)
            <button type="submit">Log in</button>
            <p><code>stoker token</code> prints it, for root and the daemon's user. The gateway's master key is not it.</p>
            </form>
            </main>
            </body>
            </html>
            """
    }

    /// Its style.
    static let style = """
        :root { color-scheme: light dark; --ink: #1c1f24; --ground: #f6f7f9; --card: #fff; --line: #c6ccd4; --wrong: #b3261e; }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e6e8eb; --ground: #14171b; --card: #1d2126; --line: #454c56; --wrong: #ff8a80; }
        }
        body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground);
          color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
        main { width: min(24rem, calc(100vw - 2rem)); box-sizing: border-box; padding: 1.5rem; background: var(--card);
          border: 1px solid var(--line); border-radius: .5rem; }
        h1 { margin: 0 0 1rem; font-size: 1.4rem; }
        label { display: block; font-weight: 600; }
        input, button { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; margin: .4rem 0;
          border: 1px solid var(--line); border-radius: .35rem; }
        button { font-weight: 600; cursor: pointer; }
        .wrong { color: var(--wrong); font-weight: 600; margin: .25rem 0; }
        """
}
