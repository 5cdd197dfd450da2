"""Each text in a list of files means one file."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.file_handles import distinct_handles, find_by_handle, full_handle, stamped
from chatd.base.replies import FileInfo

CODES = ("aaaaaa", "bbbbbb", "cccccc")
NAMES = st.one_of(
    st.sampled_from(["a.txt", "b-c.txt", "-", "aaaaaa-", *CODES]),
    st.builds("{}-{}".format, st.sampled_from(CODES), st.sampled_from(["a.txt", "bbbbbb", "-"])),
    st.text(min_size=1, max_size=4),
)


def files_called(*names: str) -> list[FileInfo]:
    codes = (*CODES, *(f"dddd{number:02}" for number in range(20)))
    return [FileInfo(code, name, 0, "ana", 0) for code, name in zip(codes, names, strict=False)]


class Handles(SynchronousTestCase):
    @given(st.lists(NAMES, max_size=8))
    @example(["a.txt", "a.txt", "aaaaaa-a.txt"])
    @example(["a.txt", "aaaaaa"])
    def test_each_means_one_file(self, names: list[str]) -> None:
        files = files_called(*names)
        for file, handle in zip(files, distinct_handles(files), strict=True):
            self.assertIs(find_by_handle(files, handle), file)
            self.assertIn(handle, (file.name, full_handle(file.code, file.name)))
            self.assertIs(find_by_handle(files, file.code), file)
            self.assertIs(find_by_handle(files, full_handle(file.code, file.name)), file)

    def test_plain_where_possible(self) -> None:
        files = files_called("a.txt", "b.txt", "a.txt")
        self.assertEqual(distinct_handles(files), ["aaaaaa-a.txt", "b.txt", "a.txt"])
        self.assertIs(find_by_handle(files, "a.txt"), files[2])

    def test_unknown(self) -> None:
        files = files_called("a.txt")
        for text in ("", "-", "a", "aaaaaa-b.txt", "bbbbbb-a.txt", "aaaaaa-"):
            self.assertIsNone(find_by_handle(files, text))

    def test_stamp(self) -> None:
        self.assertEqual(stamped("a b.txt", 1_795_728_903_999), "2026_11_26_21_35_03_a b.txt")
