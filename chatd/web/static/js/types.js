// @ts-check
/**
 * The shapes that the modules speak of. No code: `import("./types.js").Message` in a comment is all it is for.
 */

/**
 * A file as a message carries it.
 * @typedef {object} Attachment
 * @property {string} name
 * @property {number} size bytes
 * @property {string} sha256
 * @property {string} mime
 * @property {string} code what `/files/<code>` takes
 */

/**
 * A message as the json dialect writes it. One of `to` and `group` is there, and one of `text` and `file`.
 * @typedef {object} Message
 * @property {number} conversation
 * @property {number} seq
 * @property {number} id
 * @property {string} from an address
 * @property {string} [to] the other party of a direct message
 * @property {string} [group]
 * @property {string} [text]
 * @property {Attachment} [file]
 * @property {string} at RFC 3339, UTC
 * @property {boolean} [queued] one's own, and it waits for its realm
 * @property {string} [key] one's own, sent from here: the key of the send
 */

/**
 * Where messages stand: with a user (`u`) or in a group (`g`). `name` is as people write it, `key` the form
 * that is compared, `u/messi`.
 * @typedef {object} Place
 * @property {"u" | "g"} kind
 * @property {string} name
 * @property {string} key
 */

/**
 * A conversation in the list.
 * @typedef {object} Conversation
 * @property {Place} place
 * @property {number} conversation its number; 0 while only this page knows of it
 * @property {string} name the other's display name, or the group's name
 * @property {boolean} [online] of a direct one with somebody of this realm
 * @property {number} [members]
 * @property {boolean} [admin]
 * @property {boolean} [closed]
 * @property {string} [code]
 * @property {number} unread
 * @property {number} read the seq up to which all has been read
 * @property {number} seq the last one there is
 * @property {Message | null} last
 */

/**
 * @typedef {object} Account
 * @property {string} username
 * @property {string} name display name
 * @property {string} country
 * @property {boolean} operator
 */

/**
 * The answer of `GET /session`.
 * @typedef {object} Session
 * @property {string} realm
 * @property {string} version
 * @property {"open" | "closed"} registration
 * @property {number} min_password
 * @property {{message: number, file: number}} limits bytes
 * @property {Account | null} account
 * @property {boolean} may_add_realms
 * @property {boolean} claimable whether a code makes the realm's first operator
 */

/**
 * Somebody of this realm, as `users` lists them.
 * @typedef {object} User
 * @property {string} username
 * @property {string} name
 * @property {string} country
 * @property {boolean} online
 */

/**
 * Somebody said something in the room one is in.
 * @typedef {object} RoomTalk
 * @property {string} room
 * @property {string} from
 * @property {string} name display name
 * @property {string} text
 * @property {string} at RFC 3339, UTC
 */

/**
 * The reply to a command. What else there is depends on the command: docs/protocol.md.
 * @typedef {{status: "OK", message: string} & Record<string, any>} Reply
 */

/**
 * A text on its way out. `refused`: the server said no, and `error` why. `queued`: kept, and it waits for its
 * realm (only in groups of other realms; what else is kept has become a message).
 * @typedef {object} Entry
 * @property {string} key
 * @property {Place} place
 * @property {string} text
 * @property {"sending" | "queued" | "refused"} state
 * @property {{code: string, message: string}} [error]
 * @property {number} at ms since 1970
 */

/**
 * What a view is given: everything there is one of.
 * @typedef {object} App
 * @property {import("./connection.js").Connection} connection
 * @property {import("./store.js").Store} store
 * @property {import("./outbox.js").Outbox} outbox
 * @property {import("./router.js").Router} router
 * @property {typeof import("./dialogs.js").toast} toast
 * @property {typeof import("./dialogs.js").announce} announce
 * @property {(title: string) => void} setTitle of the page, while the view is shown
 * @property {Session | null} session as it was when one came; `store.session` follows what one changes
 * @property {(session: Session) => Promise<void>} enter one has logged in: begin
 * @property {(reason: string, back?: string) => void} leave the session is over, and why
 * @property {boolean} [leaving] one is logging out, so that nobody need be told that the session ends
 * @property {(options?: {everywhere?: boolean}) => Promise<boolean>} signOut asks first if something is unsent;
 *   false if one thought better of it. Rejects with LinkLost, ChatError
 * @property {(language: import("./i18n.js").Language) => Promise<void>} changeLanguage and makes all anew
 * @property {() => string | null} why why one has to log in again, for the login page
 */

/**
 * A page. `focus` is called after it is shown, instead of giving the focus to its heading.
 * @typedef {object} View
 * @property {string} title
 * @property {HTMLElement} node
 * @property {() => void} [destroy]
 * @property {() => void} [focus]
 */

export {};
