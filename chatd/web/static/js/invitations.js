// @ts-check
/**
 * Invitations to groups of other realms that wait for the user's answer. Emits `change`.
 *
 * The list is loaded whenever the link is opened; a new invitation is an event. The answers that the user gives on
 * another device are in the next list.
 */

import { t } from "./i18n.js";
import { keyOf } from "./keys.js";
import { Emitter } from "./emitter.js";

/** @import { App, Invitation } from "./types.js" */

export class Invitations extends Emitter {
  /** @type {Invitation[]} oldest first */
  list = [];
  #app;

  /** @param {App} app */
  constructor(app) {
    super();
    this.#app = app;
    const { connection, store } = app;
    connection.addEventListener("state", () => void this.load());
    connection.on("invitation", (invitation) => this.#arrived(invitation));
    connection.on("member", ({ group, who, what }) => {
      if ((what === "joined" || what === "kicked") && store.isMe(who)) this.#remove(group);
    });
    store.on("me", () => store.me || this.#set([]));
    void this.load();
  }

  /** Loads the list. Ignores errors, because it is loaded again with the next link. */
  async load() {
    const { connection } = this.#app;
    if (connection.state !== "open") return;
    const reply = await connection.request("invitations").catch(() => null);
    if (reply !== null) this.#set(reply.invitations);
  }

  /** Accepts an invitation. Resolves to the group. Rejects with ChatError, LinkLost. @param {string} group */
  async accept(group) {
    const reply = await this.#answer("accept", group);
    await this.#app.store.refresh();
    return String(reply.group);
  }

  /** Rejects with ChatError, LinkLost. @param {string} group */
  async decline(group) {
    await this.#answer("decline", group);
  }

  /** @param {"accept" | "decline"} command @param {string} group */
  async #answer(command, group) {
    try {
      const reply = await this.#app.connection.request(command, { group });
      this.#remove(group);
      return reply;
    } catch (error) {
      void this.load(); // the invitation may be gone
      throw error;
    }
  }

  /** @param {Invitation} invitation */
  #arrived(invitation) {
    const { store, toast, router } = this.#app;
    this.#set([...this.list.filter(({ group }) => keyOf(group) !== keyOf(invitation.group)), invitation]);
    const said = t("app.invited", { name: store.displayName(invitation.by), group: invitation.title ?? invitation.group });
    toast(said, "info", { action: { label: t("app.invited.show"), onClick: () => router.go("#/groups") } });
  }

  /** @param {string} wanted */
  #remove(wanted) {
    this.#set(this.list.filter(({ group }) => keyOf(group) !== keyOf(wanted)));
  }

  /** @param {Invitation[]} list */
  #set(list) {
    this.list = list;
    this.emit("change");
  }
}
