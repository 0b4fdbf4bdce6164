"""Where the hub does not connect to, however it is written: itself, the local link, metadata of clouds, everybody."""

import random
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from federation import addresses
from federation.addresses import BadAddress, NoAddress, checked_host, fault, server, vet, vet_all

V4 = {
    "loopback": ["127.0.0.1", "127.0.0.2", "127.255.255.255", "127.8.9.10"],
    "metadata": ["169.254.169.254", "169.254.170.2", "169.254.170.23", "192.0.0.192", "100.100.100.200",
                 "168.63.129.16"],
    "link-local": ["169.254.0.1", "169.254.169.253", "169.254.255.255"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "0.255.255.255"],  # noqa: S104 - compared
    "multicast": ["224.0.0.1", "239.255.255.250", "232.1.2.3"],
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "254.1.2.3", "192.0.0.1", "192.0.0.170", "192.88.99.1"],
}  # fmt: skip
V6 = {
    "loopback": ["::1"],
    "unspecified": ["::"],
    "metadata": ["fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::253", "fd20:ce::254"],
    "link-local": ["fe80::1", "fe80::a9fe:a9fe", "febf:ffff::1", "fec0::1"],
    "multicast": ["ff02::1", "ff0e::1", "ff05::1:3", "ff01::1"],
    "tunnel": ["2001:0:53aa:64c::1", "2001::1", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:ffff::1"],
    "reserved": ["100::1"],
}
FINE = ["10.8.0.7", "172.16.3.4", "192.168.1.1", "100.64.0.1", "198.18.0.1", "8.8.8.8", "93.184.216.34", "fd12:3456::1",
        "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:10.8.0.7"]  # fmt: skip


def inside(v4: str) -> list[str]:
    """IPv6 addresses that stand for this IPv4 address."""
    number = int(IPv4Address(v4))
    low = f"{number >> 16:x}:{number & 0xFFFF:x}"
    return [f"::ffff:{v4}", f"::ffff:{low}", f"64:ff9b::{low}", f"2002:{low}::1", f"2002:{low}:1::", f"::ffff:0:{low}",
            f"2001:db8::5efe:{low}", f"2001:db8::200:5efe:{low}", *([f"::{low}"] if number > 1 else [])]  # fmt: skip


def spellings(v4: str) -> list[str]:
    """What C libraries and browsers take for this address, and we take for nothing."""
    a, b, c, d = (int(part) for part in v4.split("."))
    number = int(IPv4Address(v4))
    return [str(number), hex(number), hex(number).upper(), oct(number).replace("0o", "0"),
            f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
            f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:03}.{b:03}.{c:03}.{d:04}", f"{a}.{b}.{c}.0x{d:x}", f"{v4}.",
            f"0x{a:x}.{b}", f"{a}.{b}.{c}.{d}.{d}", v4.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
            v4.translate(str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")), v4.replace(".", "。"), v4.replace(".", "%2e"),
            f"{v4}%00", f" {v4}", f"{v4}\t", f"[{v4}]", f"{v4}/8", f"{v4}#", f"{v4}\\@10.8.0.7"]  # fmt: skip


def hostile() -> list[str]:
    found = [address for group in (V4, V6) for addresses_ in group.values() for address in addresses_]
    for addresses_ in V4.values():
        for v4 in addresses_:
            found += inside(v4)
    for v4 in ("127.0.0.1", "169.254.169.254", "192.0.0.192"):
        found += spellings(v4)
    found += ["127.1", "127.0.1", "0", "0x0", "00", "0x7f.1", "017700000001", "0x7F000001", "2130706433", "4294967295",
              "99999999999", "", ".", "..", "-", "a..b", "-a.example", "a-.example", "exa mple", "a" * 64,
              f"{'a.' * 127}com", "::1%lo", "fe80::1%eth0", "[::1%25lo]", "[::1", "::1]", ":::1", "[]", "1::2::3",
              "host:443", "user@host", "host/path", "host?x", "host#x", "ⓔxample.com", "例え.jp", "a\x00b", "a\nb",
              "\u202eexample.com", "exam\u00adple.com", "xn--\u00e9.com", "*.example.com", "[fe80::1]"]  # fmt: skip
    return found


def never(name: str, port: int) -> Iterable[str]:
    raise AssertionError(f"{name} is looked up")


@pytest.mark.parametrize("host", hostile(), ids=ascii)
def test_no_hostile_address_is_taken_however_it_is_written(host: str) -> None:
    with pytest.raises(BadAddress):
        vet(host, 443, resolve=never)
    with pytest.raises(BadAddress):
        parsed = server(f"https://{host if ':' not in host or '[' in host else f'[{host}]'}:6443")
        assert parsed.host, "what looked hostile was only a name with something behind it"
        vet(parsed.host, parsed.port, resolve=never)


def test_there_are_enough_of_them() -> None:
    assert len(set(hostile())) >= 250


def test_the_reason_is_the_right_one() -> None:
    for group in (V4, V6):
        for word, listed in group.items():
            for address in listed:
                assert fault(ip_address(address)) == word, address
                with pytest.raises(BadAddress) as caught:
                    vet(address, 443, resolve=never)
                assert caught.value.code == f"{word}-address"


@pytest.mark.slow
def test_five_hundred_more_from_dice() -> None:
    dice = random.Random(500)
    networks = [ip_network(text) for text, _ in addresses._NEVER] + [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    for _ in range(500):
        network = dice.choice(networks)
        address = network[dice.randrange(min(network.num_addresses, 1 << 62))]
        forms = [str(address)]
        if isinstance(address, IPv4Address):
            forms += inside(str(address)) + spellings(str(address))
        for form in forms:
            with pytest.raises(BadAddress):
                vet(form, 443, resolve=never)


@pytest.mark.parametrize("address", FINE)
def test_places_where_sites_are_may_be_connected(address: str) -> None:
    assert ip_address(vet(address, 6443, resolve=never)) in {
        ip_address(address), getattr(ip_address(address), "ipv4_mapped", None),
    }  # fmt: skip


# -- names ----------------------------------------------------------------------------------------------


class Names:
    """A resolver that counts, and may answer otherwise the next time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, name: str, port: int) -> Iterable[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_name_is_resolved_once_and_the_answer_is_what_is_connected_to() -> None:
    names = Names(["10.8.0.7"], ["127.0.0.1"])
    assert vet("site.example", 6443, resolve=names) == "10.8.0.7"
    assert names.asked == 1
    with pytest.raises(BadAddress):
        vet("site.example", 6443, resolve=names)


@pytest.mark.parametrize(
    "wrong", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "::ffff:127.0.0.1", "fe80::1%eth0"]
)
def test_one_bad_address_among_good_ones_spoils_the_name(wrong: str) -> None:
    for answer in (["10.8.0.7", wrong], [wrong, "10.8.0.7"]):
        with pytest.raises(BadAddress) as caught:
            vet("site.example", 6443, resolve=Names(answer))
        assert wrong not in str(caught.value), "nobody is told what lies inside of our network"
        assert "site.example" in str(caught.value)


def test_the_order_of_answers_does_not_matter() -> None:
    both = ["fd12::7", "10.8.0.9", "::ffff:10.8.0.7", "10.8.0.9"]
    for answer in (both, both[::-1]):
        assert vet_all("site.example", 6443, resolve=Names(answer)) == ("10.8.0.7", "10.8.0.9", "fd12::7")


def test_a_name_without_an_address_may_have_one_later() -> None:
    def broken(name: str, port: int) -> Iterable[str]:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    for resolve in (broken, Names([])):
        with pytest.raises(NoAddress) as caught:
            vet("site.example", 6443, resolve=resolve)
        assert caught.value.code == "no-address"


def test_localhost_is_known_by_its_address_only() -> None:
    with pytest.raises(BadAddress):
        vet("localhost", 443, resolve=addresses.system_resolver)
    found = vet("localhost", 443, resolve=addresses.system_resolver, allow_loopback=True)
    assert found in {"127.0.0.1", "::1"}


# -- the operator's networks -------------------------------------------------------------------------------


def test_with_networks_of_sites_there_is_nowhere_else() -> None:
    ours = [ip_network("10.8.0.0/16"), ip_network("fd12::/48")]
    for address in ("10.8.0.7", "fd12::7", "::ffff:10.8.0.7", "64:ff9b::10.8.0.7"):
        assert vet(address, 443, resolve=never, allowed_networks=ours)
    for address in ("10.9.0.7", "192.168.1.1", "8.8.8.8", "fd13::7", "64:ff9b::10.9.0.7"):
        with pytest.raises(BadAddress) as caught:
            vet(address, 443, resolve=never, allowed_networks=ours)
        assert caught.value.code == "outside-address"
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    for address in ("169.254.169.254", "127.0.0.1", "fd00:ec2::254", "224.0.0.1"):
        with pytest.raises(BadAddress):
            vet(address, 443, resolve=never, allowed_networks=everything)


def test_only_loopback_can_be_allowed_besides() -> None:
    ours = [ip_network("10.8.0.0/16")]
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert vet(address, 443, resolve=never, allow_loopback=True, allowed_networks=ours)
    for address in ("0.0.0.0", "169.254.169.254", "::", "fe80::1", "64:ff9b:1::7f00:1"):  # noqa: S104 - compared
        with pytest.raises(BadAddress):
            vet(address, 443, resolve=never, allow_loopback=True)


# -- addresses of servers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "one_form"),
    [
        ("https://10.8.0.7:6443", "https://10.8.0.7:6443"),
        ("HTTPS://Site.Example:443/", "https://site.example"),
        ("https://site.example./k8s/clusters/c-m-abc/", "https://site.example/k8s/clusters/c-m-abc"),
        ("https://[FD12::7]:6443", "https://[fd12::7]:6443"),
        ("https://site_1.example", "https://site_1.example"),
    ],
)
def test_a_server_has_one_form(text: str, one_form: str) -> None:
    assert str(server(text)) == one_form
    assert server(one_form) == server(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("http://10.8.0.7", "not-https"),
        ("ftp://10.8.0.7", "not-https"),
        ("file:///etc/passwd", "not-https"),
        ("gopher://10.8.0.7:70", "not-https"),
        ("//10.8.0.7", "not-https"),
        ("10.8.0.7:6443", "not-https"),
        ("", "not-https"),
        ("https://a@10.8.0.7", "userinfo"),
        ("https://a:b@10.8.0.7", "userinfo"),
        ("https://@10.8.0.7", "userinfo"),
        ("https://10.8.0.7@127.0.0.1", "userinfo"),
        ("https://10.8.0.7?", "query"),
        ("https://10.8.0.7/#", "query"),
        ("https://10.8.0.7/a/../b", "bad-path"),
        ("https://10.8.0.7/a//b", "bad-path"),
        ("https://10.8.0.7/%2e%2e/", "bad-path"),
        ("https://10.8.0.7/a;b", "bad-path"),
        ("https://10.8.0.7:0", "bad-server"),
        ("https://10.8.0.7:65536", "bad-server"),
        ("https://10.8.0.7:", "bad-server"),
        ("https://10.8.0.7:x", "bad-server"),
        ("https://10.8.0.7:-1", "bad-server"),
        ("https://10.8.0.7 ", "bad-server"),
        ("https://10.8.0.7\\@127.0.0.1", "bad-server"),
        ("https://10.8.0.7\n", "bad-server"),
        ("https://例え.jp", "bad-server"),
        ("https://" + "a" * 2000, "bad-server"),
        ("https://", "bad-host"),
        ("https:///path", "bad-host"),
        ("https://[::1", "bad-server"),
    ],
)
def test_what_is_no_server_says_why(text: str, code: str) -> None:
    with pytest.raises(BadAddress) as caught:
        server(text)
    assert caught.value.code == code


def test_a_host_is_never_another_than_the_one_that_is_looked_up() -> None:
    assert checked_host("Site.Example.") == "site.example"
    assert checked_host("[FD12::7]") == str(IPv6Address("fd12::7"))
    assert checked_host("10.8.0.7") == "10.8.0.7"
