// Who asks: the login with the admin token, and requests that want one.

import { byId, make, openDialog, setText } from './dom.js';

let isLoggedIn = false;

/** Asks for the token where nobody is logged in; true when somebody is. */
export async function login() {
  if (isLoggedIn) return true;
  return new Promise((resolve) => {
    const token = make('input', { type: 'password', autocomplete: 'current-password', required: true, id: 'token' });
    const wrong = make('p.wrong', { role: 'alert' });
    const form = make('form', {
      submit: async (event) => {
        event.preventDefault();
        try {
          const response = await fetch('/login', {
            method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ token: token.value }),
          });
          if (!response.ok) {
            setText(wrong, response.status === 401 ? 'That is not the admin token.' : await problem(response));
            token.select();
            return;
          }
        } catch {
          setText(wrong, 'The daemon does not answer.');
          return;
        }
        account(true);
        dialog.close();
      },
    }, make('label', { for: 'token' }, 'Admin token'), token, wrong,
    make('p.soft', {}, make('code', {}, 'stoker token'), ' prints it, for root and the daemon’s user.'),
    make('div.buttons', {}, make('button.primary', {}, 'Log in')));
    const dialog = openDialog('Log in', 'narrow', form);
    dialog.addEventListener('close', () => resolve(isLoggedIn));
    token.focus();
  });
}

function account(isIn) {
  isLoggedIn = isIn;
  byId('account').replaceChildren(isIn
    ? make('button', {
      type: 'button', click: async () => {
        await fetch('/logout', { method: 'POST' });
        location.reload();
      },
    }, 'Log out')
    : make('button', { type: 'button', click: login }, 'Log in'));
}

/** An error's sentence. */
export async function problem(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return 'the daemon answered ' + response.status;
  }
}

/** Asks with a session; logs in (again) where it has ended. Throws the daemon's sentence. */
export async function ask(path, options = {}) {
  if (!await login()) throw null;
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('the daemon does not answer');
  }
  if (response.status === 401) {
    account(false);
    return ask(path, options);
  }
  return response;
}

/** Finds out whether somebody is logged in. */
export async function startSession() {
  account(false);
  try {
    account((await (await fetch('/api/v1/session')).json()).logged_in);
  } catch { /* A button says so. */ }
}
