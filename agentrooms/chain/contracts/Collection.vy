# pragma version 0.4.3
# pragma evm-version shanghai
# pragma optimize codesize
"""
@title Demo collection
@license Apache-2.0
@notice ERC-721 whose items carry a name and up to 16 traits, all on chain. `tokenURI` is a data URI with a
        generated picture. The traits are also machine-readable as in ERC-7496 (its two reading functions
        only: traits never change): key and value are keccak256 of the texts in UTF-8.
"""

struct Trait:
    name: String[64]
    text: String[64]

struct Item:
    to: address
    tokenId: uint256
    name: String[64]
    traits: DynArray[Trait, 16]

struct StoredTrait:
    key: bytes32
    text: bytes32

interface Receiver:
    def onERC721Received(
        operator: address, sender: address, tokenId: uint256, data: Bytes[1024]
    ) -> bytes4: nonpayable

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    tokenId: indexed(uint256)

event Approval:
    owner: indexed(address)
    approved: indexed(address)
    tokenId: indexed(uint256)

event ApprovalForAll:
    owner: indexed(address)
    operator: indexed(address)
    approved: bool

HEX: constant(Bytes[16]) = b"0123456789abcdef"
BASE64_LOW: constant(bytes32) = 0x4142434445464748494a4b4c4d4e4f505152535455565758595a616263646566
BASE64_HIGH: constant(bytes32) = 0x6768696a6b6c6d6e6f707172737475767778797a303132333435363738392b2f
WORDS_MAX: constant(uint256) = 384  # of 24 bytes of JSON each; the longest item needs fewer

name: public(String[64])
symbol: public(String[16])
owner: public(immutable(address))
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
isApprovedForAll: public(HashMap[address, HashMap[address, bool]])
holder: HashMap[uint256, address]
approved: HashMap[uint256, address]
item_name: HashMap[uint256, String[64]]
traits: HashMap[uint256, DynArray[StoredTrait, 16]]
texts: HashMap[bytes32, String[64]]  # each text is stored once, under its hash


@deploy
def __init__(_name: String[64], _symbol: String[16]):
    self._check_text(convert(_name, Bytes[64]))
    self.name = _name
    self.symbol = _symbol
    owner = msg.sender


# --- ERC-721 ---------------------------------------------------------------------------------------------


@external
@view
def ownerOf(tokenId: uint256) -> address:
    return self._owner_of(tokenId)


@external
@view
def getApproved(tokenId: uint256) -> address:
    self._owner_of(tokenId)
    return self.approved[tokenId]


@external
def approve(to: address, tokenId: uint256):
    token_owner: address = self._owner_of(tokenId)
    assert msg.sender == token_owner or self.isApprovedForAll[token_owner][msg.sender], "caller may not approve"
    self.approved[tokenId] = to
    log Approval(owner=token_owner, approved=to, tokenId=tokenId)


@external
def setApprovalForAll(operator: address, allowed: bool):
    self.isApprovedForAll[msg.sender][operator] = allowed
    log ApprovalForAll(owner=msg.sender, operator=operator, approved=allowed)


@external
def transferFrom(sender: address, to: address, tokenId: uint256):
    self._move(sender, to, tokenId)


@external
def safeTransferFrom(sender: address, to: address, tokenId: uint256, data: Bytes[1024] = b""):
    """
    @notice As transferFrom; a contract that receives must say that it can.
    """
    self._move(sender, to, tokenId)
    if to.is_contract:
        answer: bytes4 = extcall Receiver(to).onERC721Received(msg.sender, sender, tokenId, data)
        assert answer == method_id("onERC721Received(address,address,uint256,bytes)", output_type=bytes4), "refused"


@external
@pure
def supportsInterface(interfaceId: bytes4) -> bool:
    """
    @notice ERC-165, ERC-721 and its metadata.
    """
    return interfaceId in [0x01ffc9a7, 0x80ac58cd, 0x5b5e139f]


# --- Minting ---------------------------------------------------------------------------------------------


@external
def mint(to: address, tokenId: uint256, itemName: String[64], traits: DynArray[Trait, 16]):
    """
    @param traits The item's traits, by name and text; a name stands once
    """
    self._mint(Item(to=to, tokenId=tokenId, name=itemName, traits=traits))


@external
def mintMany(items: DynArray[Item, 16]):
    for item: Item in items:
        self._mint(item)


@internal
def _mint(item: Item):
    assert msg.sender == owner, "caller is not the owner"
    assert item.to != empty(address), "receiver is zero"
    assert self.holder[item.tokenId] == empty(address), "already minted"
    self._check_text(convert(item.name, Bytes[64]))
    self.item_name[item.tokenId] = item.name
    keys: DynArray[bytes32, 16] = []
    for trait: Trait in item.traits:
        key: bytes32 = self._store(trait.name)
        assert key not in keys, "a trait stands twice"
        keys.append(key)
        self.traits[item.tokenId].append(StoredTrait(key=key, text=self._store(trait.text)))
    self.holder[item.tokenId] = item.to
    self.balanceOf[item.to] += 1
    self.totalSupply += 1
    log Transfer(sender=empty(address), receiver=item.to, tokenId=item.tokenId)


@internal
def _store(text: String[64]) -> bytes32:
    hashed: bytes32 = keccak256(text)
    if len(self.texts[hashed]) == 0:
        self._check_text(convert(text, Bytes[64]))
        self.texts[hashed] = text
    return hashed


@internal
@pure
def _check_text(text: Bytes[64]):
    """
    @dev JSON has no control characters in its texts.
    """
    for i: uint256 in range(len(text), bound=64):
        assert convert(slice(text, i, 1), uint256) >= 32, "control character"


# --- Traits and pictures ---------------------------------------------------------------------------------


@external
@view
def getTraitValue(tokenId: uint256, traitKey: bytes32) -> bytes32:
    """
    @notice The hash of the text of one trait, zero when the item has no such trait (ERC-7496).
    """
    self._owner_of(tokenId)
    return self._trait_value(tokenId, traitKey)


@external
@view
def getTraitValues(tokenId: uint256, traitKeys: DynArray[bytes32, 16]) -> DynArray[bytes32, 16]:
    self._owner_of(tokenId)
    found: DynArray[bytes32, 16] = []
    for key: bytes32 in traitKeys:
        found.append(self._trait_value(tokenId, key))
    return found


@external
@view
def tokenURI(tokenId: uint256) -> String[13_000]:
    """
    @notice data:application/json;base64 with name, attributes and image; the image is itself a data URI of
            an SVG: a ring for each trait, in the colour of its text's hash.
    """
    self._owner_of(tokenId)
    attributes: Bytes[5_000] = b""
    rings: Bytes[2_000] = b""
    traits: DynArray[StoredTrait, 16] = self.traits[tokenId]
    for i: uint256 in range(len(traits), bound=16):
        attribute: Bytes[350] = concat(
            b'{"trait_type":"',
            self._escaped(self.texts[traits[i].key]),
            b'","value":"',
            self._escaped(self.texts[traits[i].text]),
            b'"}',
        )
        comma: Bytes[1] = b"," if i > 0 else b""
        attributes = convert(concat(attributes, comma, attribute), Bytes[5_000])
        rings = convert(concat(rings, self._ring(150 - 8 * i, traits[i].text)), Bytes[2_000])
    number: Bytes[78] = convert(uint2str(tokenId), Bytes[78])
    return concat(
        "data:application/json;base64,",
        convert(
            self._base64(
                concat(
                    b'{"name":"',
                    self._escaped(self.item_name[tokenId]),
                    b'","attributes":[',
                    attributes,
                    b'],"image":"data:image/svg+xml,',
                    # Percent signs stand for what a URI must not hold: < > #
                    b"%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 320 320'%3E",
                    b"%3Crect width='320' height='320' fill='%23",
                    self._colour(keccak256(abi_encode(tokenId))),
                    b"'/%3E",
                    rings,
                    b"%3Ctext x='160' y='312' text-anchor='middle' font-size='20' fill='white'%3E%23",
                    number,
                    b'%3C/text%3E%3C/svg%3E"}',
                )
            ),
            String[12_288],
        ),
    )


@internal
@view
def _trait_value(token_id: uint256, key: bytes32) -> bytes32:
    for trait: StoredTrait in self.traits[token_id]:
        if trait.key == key:
            return trait.text
    return empty(bytes32)


@internal
@pure
def _ring(radius: uint256, hashed: bytes32) -> Bytes[131]:
    return concat(
        b"%3Ccircle cx='160' cy='150' r='",
        convert(uint2str(radius), Bytes[78]),
        b"' fill='%23",
        self._colour(hashed),
        b"'/%3E",
    )


@internal
@pure
def _colour(hashed: bytes32) -> Bytes[6]:
    colour: Bytes[6] = b""
    bits: uint256 = convert(hashed, uint256)
    for i: uint256 in range(6):
        colour = convert(concat(colour, slice(HEX, (bits >> (252 - 4 * i)) & 15, 1)), Bytes[6])
    return colour


@internal
@pure
def _escaped(text: String[64]) -> Bytes[128]:
    """
    @dev As it stands in JSON; control characters were refused when it was stored.
    """
    raw: Bytes[64] = convert(text, Bytes[64])
    out: Bytes[128] = b""
    for i: uint256 in range(len(raw), bound=64):
        character: Bytes[1] = slice(raw, i, 1)
        if character == b'"' or character == b"\\":
            out = convert(concat(out, b"\\"), Bytes[128])
        out = convert(concat(out, character), Bytes[128])
    return out


@internal
@pure
def _base64(data: Bytes[9_216]) -> Bytes[12_288]:
    """
    @dev 24 bytes at a time, which make one word of 32 letters; at the end zeros are added, then cut off.
    """
    words: DynArray[uint256, WORDS_MAX] = []
    padded: Bytes[9_240] = concat(data, b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    for at: uint256 in range((len(data) + 23) // 24, bound=WORDS_MAX):
        bits: uint256 = convert(slice(padded, 24 * at, 24), uint256)
        letters: uint256 = 0
        for i: uint256 in range(32):
            digit: uint256 = (bits >> (186 - 6 * i)) & 63
            table: uint256 = convert(BASE64_LOW if digit < 32 else BASE64_HIGH, uint256)
            letters = (letters << 8) | ((table >> (248 - 8 * (digit % 32))) & 255)
        words.append(letters)
    end: Bytes[2] = b""
    if len(data) % 3 == 1:
        end = b"=="
    elif len(data) % 3 == 2:
        end = b"="
    letters_used: uint256 = (4 * len(data) + 2) // 3
    return convert(concat(slice(abi_encode(words), 64, letters_used), end), Bytes[12_288])


# --- Owners ----------------------------------------------------------------------------------------------


@internal
@view
def _owner_of(token_id: uint256) -> address:
    found: address = self.holder[token_id]
    assert found != empty(address), "no such token"
    return found


@internal
def _move(sender: address, to: address, token_id: uint256):
    token_owner: address = self._owner_of(token_id)
    assert token_owner == sender, "sender does not own the token"
    assert to != empty(address), "receiver is zero"
    assert (
        msg.sender == token_owner
        or msg.sender == self.approved[token_id]
        or self.isApprovedForAll[token_owner][msg.sender]
    ), "caller may not move the token"
    self.approved[token_id] = empty(address)
    self.balanceOf[sender] -= 1
    self.balanceOf[to] += 1
    self.holder[token_id] = to
    log Transfer(sender=sender, receiver=to, tokenId=token_id)
