// @ts-check
/** The texts of the empty list of conversations, in Indonesian. */

/** @type {Record<string, string>} */
export default {
  "list.empty": "Belum ada percakapan",
  "list.empty.hint": "Tulis kepada seseorang, atau bergabunglah dengan grup yang Anda ketahui.",
  "list.no-people": "Belum ada percakapan pribadi",
  "list.no-people.hint": "Tulis kepada seseorang: cukup dengan username-nya.",
  "list.no-groups": "Anda belum menjadi anggota grup",
  "list.no-groups.hint": "Bergabunglah dengan nama atau kodenya, atau buat grup sendiri.",
  "list.no-realms": "Belum ada apa-apa dari realm lain",
  "list.no-realms.hint": "Tulis kepada orang di sana sebagai user@realm.",
  "list.no-archived": "Arsip kosong",
  "list.no-archived.hint": "Menu percakapan memindahkannya ke arsip.",
  "list.write": "Tulis kepada seseorang",
  "list.groups.open": "Cari grup",
  "list.realms.open": "Lihat realm",
};
