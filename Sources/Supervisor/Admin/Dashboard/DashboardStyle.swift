extension Dashboard {
    /// The page's style: colours as variables, light or dark by the system's setting, contrast of AA or better.
    static let style = """
        :root {
          color-scheme: light dark;
          --ink: #1b1f24; --soft: #57606a; --ground: #f4f5f7; --card: #fff; --line: #d5dae0;
          --good: #146c2e; --good-ground: #dff3e4; --busy: #7a4d00; --busy-ground: #fff0cf;
          --bad: #a4161a; --bad-ground: #fde3e3; --idle: #48515b; --idle-ground: #e8ebef; --bar: #c27c00;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --ink: #e5e8ec; --soft: #a0a9b4; --ground: #13161a; --card: #1c2025; --line: #363d46;
            --good: #7ee2a0; --good-ground: #12351f; --busy: #ffce70; --busy-ground: #3d2c07;
            --bad: #ff9c9c; --bad-ground: #45191a; --idle: #b9c1ca; --idle-ground: #2b3138; --bar: #e0a030;
          }
        }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
        header, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1rem; }
        header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; padding-top: .75rem; }
        h1 { font-size: 1.3rem; margin: 0; }
        #version, #connection, footer, .soft { color: var(--soft); font-size: .87rem; font-weight: 400; }
        #connection { margin: 0; flex: 1; }
        #connection.lost { color: var(--bad); font-weight: 600; }
        body.lost main { opacity: .65; }
        h2 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
        h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
        #ready { margin-top: .75rem; padding: .8rem 1rem; border-radius: .5rem; background: var(--idle-ground);
          color: var(--idle); font-size: 1.05rem; overflow-wrap: anywhere; }
        #ready strong { margin-right: .5rem; }
        #ready.good { background: var(--good-ground); color: var(--good); }
        #ready.bad { background: var(--bad-ground); color: var(--bad); }
        #notices { list-style: none; margin: .5rem 0 0; padding: 0; }
        #notices li, .notice { background: var(--busy-ground); color: var(--busy); padding: .5rem 1rem;
          border-radius: .5rem; margin-top: .4rem; overflow-wrap: anywhere; }
        .facts { display: flex; flex-wrap: wrap; gap: .3rem 1.75rem; margin: 0; }
        .facts div { min-width: 0; }
        .facts dt { color: var(--soft); font-size: .8rem; }
        .facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
        .provider { margin: 0 0 1rem; padding: 0; border: 1px solid var(--line); border-radius: .5rem;
          background: var(--card); }
        .provider > header { padding: .6rem 1rem; max-width: none; }
        .instance { border-top: 1px solid var(--line); padding: .7rem 1rem .8rem; display: grid;
          grid-template-columns: minmax(0, 1fr); gap: .45rem; }
        .instance.calls { box-shadow: inset 4px 0 0 var(--bad); }
        .row { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: baseline; }
        .row h4 { margin: 0; font-size: 1rem; }
        .row .why { flex: 1 1 16rem; min-width: 0; overflow-wrap: anywhere; }
        .state { border-radius: 1rem; padding: .05rem .65rem; font-weight: 600; font-size: .85rem; white-space: nowrap;
          background: var(--idle-ground); color: var(--idle); }
        .state.good { background: var(--good-ground); color: var(--good); }
        .state.busy { background: var(--busy-ground); color: var(--busy); }
        .state.bad { background: var(--bad-ground); color: var(--bad); }
        .loading { display: flex; gap: .75rem; align-items: center; }
        progress { flex: 1; max-width: 28rem; height: .6rem; appearance: none; border: 0; border-radius: .3rem;
          background: var(--line); overflow: hidden; }
        progress::-webkit-progress-bar { background: var(--line); }
        progress::-webkit-progress-value { background: var(--bar); }
        progress::-moz-progress-bar { background: var(--bar); }
        .checks { display: flex; flex-wrap: wrap; gap: .3rem; margin: 0; padding: 0; list-style: none; }
        .checks li { border: 1px solid var(--line); border-radius: .35rem; padding: .05rem .5rem; font-size: .83rem; }
        .checks .ok::before { content: "✓ "; color: var(--good); font-weight: 700; }
        .checks .not::before { content: "✗ "; color: var(--bad); font-weight: 700; }
        .failure { background: var(--bad-ground); border-radius: .4rem; padding: .45rem .8rem; font-size: .92rem; }
        .failure.past { background: var(--idle-ground); }
        .failure summary { cursor: pointer; overflow-wrap: anywhere; }
        .failure pre { margin: .5rem 0 0; padding: .6rem; overflow-x: auto; background: var(--card);
          border: 1px solid var(--line); border-radius: .35rem; font: 12.5px/1.4 ui-monospace, monospace; }
        .hint { margin: .4rem 0 0; }
        code { font-family: ui-monospace, monospace; font-size: .9em; }
        a { color: inherit; }
        a:focus-visible, summary:focus-visible, button:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
        button { font: inherit; font-size: .87rem; background: none; color: inherit; border: 1px solid var(--line);
          border-radius: .35rem; padding: .1rem .6rem; cursor: pointer; }
        footer { padding-block: 1rem 2rem; display: flex; gap: 1rem; }
        .empty { padding: 1rem; border: 1px dashed var(--line); border-radius: .5rem; color: var(--soft); }
        @media (max-width: 40rem) {
          .facts { gap: .4rem 1.2rem; }
          .instance, .provider > header { padding-inline: .75rem; }
        }
        """
}
