// @ts-check
/**
 * Types that several modules share. No code: comments refer to them, as in `import("./types.js").Message`.
 */

/**
 * A file as a message carries it.
 * @typedef {object} Attachment
 * @property {string} name
 * @property {number} size bytes
 * @property {string} sha256
 * @property {string} mime
 * @property {string} code what `/files/<code>` takes
 * @property {number} [width] of a picture, in pixels
 * @property {number} [height]
 * @property {string} [thumbnail] the path of a small version
 * @property {"arriving" | "here" | "lost"} [state] of a file that crosses to or from another realm; without it: here
 * @property {string} [reason] why it is lost, as a sentence in English
 * @property {string} [lost] the code of that reason
 */

/**
 * A message as the json dialect writes it. It has either `to` or `group`. A deleted one has no content; others have
 * one of `text`, `file` and `opaque`.
 * @typedef {object} Message
 * @property {number} conversation
 * @property {number} seq 0 for a pending post to a group elsewhere, which has no number yet
 * @property {number} id
 * @property {string} from an address
 * @property {string} [to] the other party of a direct message
 * @property {string} [group]
 * @property {string | null} [text]
 * @property {Attachment} [file]
 * @property {unknown} [opaque] content that only other programs can read
 * @property {string} at RFC 3339, UTC
 * @property {DeliveryState} [state] of an own message
 * @property {string} [reason] why it was refused, as a sentence in English
 * @property {string} [code] the code of that error
 * @property {string} [edited] when it was last edited
 * @property {boolean} [deleted]
 * @property {number} [reply] the seq of the message that it answers
 * @property {string} [forwarded] the address of the author, of a forwarded message
 * @property {string[]} [mentions] addresses of the people that the text mentions, and `@all` for everybody
 * @property {Record<string, string[]>} [reactions] addresses by emoji
 * @property {Record<string, number>} [reaction_counts] where there are more than those addresses
 * @property {boolean} [pinned]
 * @property {boolean} [unverified] whether its author's realm could not be verified
 * @property {boolean} [imported] whether it is from an archive, and could not be verified
 * @property {boolean} [blocked] whether the user has blocked its author
 * @property {string} [key] of an own message from this browser: the key of the send
 */

/** A group of an archive. @typedef {{group: string, title?: string, code?: string, visibility?: string}} FormerGroup */

/**
 * The user's last import, or an event about it.
 * @typedef {{
 *   state: "running" | "done" | "failed" | "cancelled", messages: number, conversations: number, of: number,
 *   code?: string, reason?: string, groups?: FormerGroup[],
 * }} ImportState `reason` is a sentence in English
 */

/** @typedef {"stored" | "queued" | "requested" | "delivered" | "refused"} DeliveryState */

/** What became of an unverified message. @typedef {"verified" | "forged"} Judgement */

/**
 * A change in the log of a conversation. `target` is the seq of the message that it changes; `member`, `group` and
 * `moved` have none. The other fields depend on the kind.
 * @typedef {{kind: ChangeKind, conversation: number, seq: number, target?: number, at?: string} & Record<string, any>} Change
 */

/** @typedef {"edited" | "deleted" | "reaction" | "pinned" | "member" | "group" | "moved"} ChangeKind */

/**
 * The other side of a conversation: a user (`u`) or a group (`g`). `name` is as people write it, `key` the form
 * for comparing, such as `u/messi`.
 * @typedef {object} Place
 * @property {"u" | "g"} kind
 * @property {string} name
 * @property {string} key
 */

/**
 * A conversation in the list.
 * @typedef {object} Conversation
 * @property {Place} place
 * @property {number} conversation its number; 0 until the realm has it
 * @property {string} name the other's display name, or the group's title or name
 * @property {boolean} [online] for direct conversations, if it is known
 * @property {boolean} [away] online, but away
 * @property {number} [members]
 * @property {boolean} [admin]
 * @property {boolean} [closed]
 * @property {string} [shut] why the operators of its realm have closed it for everybody; missing: they have not
 * @property {"private"} [visibility] missing: public
 * @property {string} [rescue] the address with which the group goes on if its realm stays lost
 * @property {"all" | "mentions" | "none"} [notify] of which messages the user wants notifications; missing: of all
 * @property {string} [until] when they are of all messages again
 * @property {"open" | "declined"} [request] of the other side, who has asked to write and is not accepted
 * @property {boolean} [archived] whether it is shown apart from the others
 * @property {string} [code]
 * @property {number} unread
 * @property {number} read the seq up to which all has been read
 * @property {number} seq the newest one
 * @property {Message | null} last
 */

/**
 * A row of the list of conversations.
 * @typedef {object} Line
 * @property {Conversation} conversation
 * @property {Entry} [entry] an unsent text
 * @property {import("./dom.js").Child[]} [unsent] how the row shows it
 */

/**
 * An invitation to a group of another realm.
 * @typedef {object} Invitation
 * @property {string} group its address
 * @property {string} [title]
 * @property {string} by the address of the person who invites
 * @property {string} at RFC 3339, UTC
 */

/**
 * @typedef {object} Account
 * @property {string} username
 * @property {string} name display name
 * @property {string} country
 * @property {boolean} operator
 * @property {string} [status_text] what the user says of themselves
 * @property {string} [picture] the path of the user's picture
 */

/**
 * The answer of `GET /session`.
 * @typedef {object} Session
 * @property {string} realm
 * @property {string} version
 * @property {"open" | "invite" | "closed"} registration
 * @property {number} min_password
 * @property {{message: number, file: number}} limits bytes
 * @property {Account | null} account
 * @property {boolean} may_add_realms
 * @property {boolean} claimable whether the first operator can still be made by a code
 */

/**
 * A user of this realm, as `users` lists them.
 * @typedef {object} User
 * @property {string} username
 * @property {string} name
 * @property {string} country
 * @property {boolean} online
 * @property {boolean} [away] online, but away
 * @property {string} [status] what they say of themselves
 * @property {string} [picture] the path of the user's picture
 */

/**
 * A line of talk in a room, or a file that was sent to it.
 * @typedef {object} RoomTalk
 * @property {string} room
 * @property {string} from
 * @property {string} name display name
 * @property {string} text
 * @property {{name: string, code: string}} [file]
 * @property {string} at RFC 3339, UTC
 */

/**
 * The reply to a command. The other fields depend on the command: docs/protocol.md.
 * @typedef {{status: "OK", message: string} & Record<string, any>} Reply
 */

/**
 * An unsent text. `refused`: by the realm, for the reason in `error`.
 * @typedef {object} Entry
 * @property {string} key
 * @property {Place} place
 * @property {string} text
 * @property {number} [reply] the seq of the message that it answers
 * @property {"sending" | "refused"} state
 * @property {{code: string, message: string}} [error]
 * @property {number} at ms since 1970
 */

/**
 * What every view gets: the single instances and functions of the page.
 * @typedef {object} App
 * @property {import("./connection.js").Connection} connection
 * @property {import("./store.js").Store} store
 * @property {import("./log.js").Log} log
 * @property {import("./outbox.js").Outbox} outbox
 * @property {((known: Line[]) => Line[])} [withUnsent] adds unsent texts to the list; missing until they are loaded
 * @property {import("./invitations.js").Invitations} invitations
 * @property {import("./router.js").Router} router
 * @property {typeof import("./dialogs.js").toast} toast
 * @property {typeof import("./dialogs.js").announce} announce
 * @property {(title: string) => void} setTitle sets the page's title while the view is shown
 * @property {Session | null} session as of the start; `store.session` follows later changes
 * @property {(session: Session) => Promise<void>} enter called after a login
 * @property {(reason: string, back?: string) => void} leave called after the end of the session, with the reason
 * @property {boolean} [leaving] true while the user logs out, so that the end of the session needs no notice
 * @property {(options?: {everywhere?: boolean}) => Promise<boolean>} signOut asks first if something is unsent;
 *   resolves to false if the user cancels. Rejects with LinkLost, ChatError
 * @property {(language: import("./i18n.js").Language) => Promise<void>} changeLanguage changes it and redraws
 * @property {() => string | null} why the reason for a new login, for the login page
 */

/**
 * A page. `focus` is called after it is shown; without it, the heading gets the focus.
 * @typedef {object} View
 * @property {string} title
 * @property {HTMLElement} node
 * @property {() => void} [destroy]
 * @property {() => void} [focus]
 */

export {};
