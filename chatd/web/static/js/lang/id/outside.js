// @ts-check
/** The texts of the login and registration pages, in Indonesian. */

/** @type {Record<string, string>} */
export default {
  "login.title": "Masuk",
  "login.intro": "Selamat datang di {realm}.",
  "login.username": "Username",
  "login.password": "Kata sandi",
  "login.submit": "Masuk",
  "login.new": "Baru di sini?",
  "login.register": "Buat akun",
  "login.invited": "Punya undangan?",
  "login.closed": "Realm ini tidak menerima akun baru. Jika perlu, mintalah kepada operatornya.",

  "register.title": "Buat akun",
  "register.intro": "Cukup nama dan kata sandi. Anda langsung masuk.",
  "register.username.hint": "Nama yang dipakai orang untuk menulis kepada Anda. Huruf, angka, titik, garis bawah, dan tanda hubung.",
  "register.username.bad": "Pakai huruf, angka, titik, garis bawah, dan tanda hubung saja, tanpa spasi.",
  "register.password.hint.one": "Paling sedikit 1 karakter.",
  "register.password.hint.other": "Paling sedikit {n} karakter. Beberapa kata lebih baik daripada satu.",
  "register.name": "Nama Anda (opsional)",
  "register.name.hint": "Yang dilihat orang lain di daftarnya.",
  "register.country": "Negara (opsional)",
  "register.submit": "Buat akun",
  "register.known": "Sudah punya akun?",
  "register.login": "Masuk",
  "register.invited": "Anda diundang. Cukup nama dan kata sandi.",
  "register.invite.intro": "Di sini Anda memerlukan undangan. Buka tautannya, atau ketik kodenya.",
  "register.invite": "Kode undangan",
  "register.invite.hint": "Mintalah kepada yang mengundang Anda. Huruf besar dan tanda hubung tidak berpengaruh.",
  "register.closed": "Tidak ada akun baru di sini",
  "register.closed.hint": "Realm ini tertutup bagi orang baru. Mintalah akun kepada operatornya.",

  "reset.title": "Pilih kata sandi baru",
  "reset.intro": "Setelah itu kata sandi lama tidak berlaku lagi, dan semua perangkat keluar.",
  "reset.password": "Kata sandi baru",
  "reset.submit": "Ganti kata sandi",
  "reset.done": "Kata sandi {username} sudah diganti",
  "reset.done.hint": "Masuklah dengan kata sandi itu.",
  "reset.login": "Masuk",
  "reset.bad": "Tautan ini tidak berlaku lagi",
  "reset.bad.hint": "Sebuah tautan berlaku sekali, selama satu jam. Mintalah yang baru kepada operator realm ini.",
};
