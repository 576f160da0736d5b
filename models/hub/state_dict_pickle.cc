// Instructions: Python's Lib/pickletools.py. What torch.save writes with them: PyTorch's torch/_utils.py and
// torch/serialization.py.
#include "models/hub/state_dict_pickle.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"

namespace thimble::models {
namespace {

// 1,000 layers take 3.5 MB. Together the limits bound the memory of a hostile pickle at some 300 MB.
constexpr size_t kMaxBytes = size_t{1} << 22;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxDimensions = 64;  // as LibTorch
// Product of the sizes of an empty tensor without its zeros: LibTorch computes strides from it.
constexpr int64_t kMaxEmpty = int64_t{1} << 40;

enum class Kind {
  kMark,
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kGlobal,
  kTuple,
  kList,
  kDict,
  kStorage,
  kTensor
};

const char* KindName(Kind kind) {
  constexpr const char* kNames[] = {"a mark",  "None",    "a bool", "a number", "a number",  "a string",
                                    "a class", "a tuple", "a list", "a dict",   "a storage", "a tensor"};
  return kNames[static_cast<int>(kind)];
}

// Values are small and refer to their parts by number: parts may be shared or cyclic, nothing recurses.
struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;     // of kBool, kInt; else an index into the list of its kind
  std::string_view text;  // of kText; of kGlobal "MODULE\nNAME"
};

struct Storage {
  DataType type = DataType::kF32;
  std::string_view key;
  int64_t items = 0;
};

std::string Show(std::string_view text) {
  constexpr size_t kMost = 80;
  std::string shown(text.substr(0, kMost));
  // A global's two lines.
  std::replace(shown.begin(), shown.end(), '\n', '.');
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return "'" + shown + (text.size() > kMost ? "...'" : "'");
}

class Machine {
 public:
  Machine(const std::string& where, std::string_view bytes) : where_(where), bytes_(bytes) {}

  std::vector<PickledTensor> Run() {
    if (bytes_.size() > kMaxBytes)
      throw Bad("the pickle is too long", std::to_string(bytes_.size()) + " bytes",
                "up to " + std::to_string(kMaxBytes));
    for (;;) {
      const unsigned char instruction = Take(1)[0];
      if (instruction == '.') break;
      Step(instruction);
    }
    const Value top = Pop();
    if (top.kind != Kind::kDict) throw Bad("holds no state dict", KindName(top.kind), "a dict of tensors");
    return Tensors(parts_[top.number]);
  }

 private:
  Error Bad(const std::string& problem, const std::string& got = "", const std::string& accepted = "") const {
    return BadRequest(where_, problem, got, accepted);
  }
  Error Broken(const char* what) const {
    return Bad("not a pickle that torch.save writes: " + std::string(what) + " at byte " +
               std::to_string(at_));
  }

  // --- Bytes ---

  std::string_view Take(size_t count) {
    if (count > bytes_.size() - at_) throw Broken("the end is missing");
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  uint64_t TakeUnsigned(size_t count) {
    const std::string_view taken = Take(count);
    uint64_t value = 0;
    std::memcpy(&value, taken.data(), count);
    return value;
  }
  std::string_view TakeLine() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) throw Broken("the end is missing");
    const std::string_view line = Take(end - at_);
    Take(1);
    return line;
  }
  // LONG1: two's complement of any length.
  int64_t TakeLong() {
    const size_t count = TakeUnsigned(1);
    if (count > 8) throw Broken("a number of more than 8 bytes");
    if (count == 0) return 0;
    uint64_t value = TakeUnsigned(count);
    if (count < 8 && (value >> (8 * count - 1) & 1) != 0) value |= ~uint64_t{0} << (8 * count);
    return static_cast<int64_t>(value);
  }

  // --- Stack ---

  void Push(Value value) { stack_.push_back(value); }
  void PushNumber(int64_t number) { Push({Kind::kInt, number, {}}); }
  Value Pop() {
    if (stack_.empty() || stack_.back().kind == Kind::kMark) throw Broken("too few values");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<Value> PopToMark() {
    size_t begin = stack_.size();
    while (begin > 0 && stack_[begin - 1].kind != Kind::kMark) --begin;
    if (begin == 0) throw Broken("a mark is missing");
    std::vector<Value> values(stack_.begin() + begin, stack_.end());
    stack_.resize(begin - 1);
    return values;
  }
  void PushParts(Kind kind, std::vector<Value> parts) {
    parts_.push_back(std::move(parts));
    Push({kind, static_cast<int64_t>(parts_.size()) - 1, {}});
  }
  void PushTuple(int count) {
    std::vector<Value> parts(count);
    for (int i = count; i-- > 0;) parts[i] = Pop();
    PushParts(Kind::kTuple, std::move(parts));
  }
  std::vector<Value>& TopParts(Kind kind) {
    if (stack_.empty() || stack_.back().kind != kind) throw Broken("a value of another kind");
    return parts_[stack_.back().number];
  }
  void Append(Kind kind, const std::vector<Value>& values) {
    if (kind == Kind::kDict && values.size() % 2 != 0) throw Broken("a key without a value");
    std::vector<Value>& parts = TopParts(kind);
    parts.insert(parts.end(), values.begin(), values.end());
  }

  void Remember(uint64_t place) {
    const Value value = Pop();
    Push(value);
    // Picklers number what they remember from 0 on.
    if (place > memo_.size()) throw Broken("a value remembered out of order");
    if (place == memo_.size()) memo_.emplace_back();
    memo_[place] = value;
  }
  void Recall(uint64_t place) {
    if (place >= memo_.size()) throw Broken("a value that was not remembered");
    Push(memo_[place]);
  }

  void Step(unsigned char instruction) {
    switch (instruction) {
      case 0x80: {  // PROTO
        const uint64_t protocol = TakeUnsigned(1);
        if (protocol != 2)
          throw Bad("pickle protocol " + std::to_string(protocol), "",
                    "2, which torch.save writes by default");
        return;
      }
      case '(':
        return Push({Kind::kMark, 0, {}});
      case 'N':
        return Push({});
      case 0x88:
        return Push({Kind::kBool, 1, {}});
      case 0x89:
        return Push({Kind::kBool, 0, {}});
      case 'K':
        return PushNumber(static_cast<int64_t>(TakeUnsigned(1)));
      case 'M':
        return PushNumber(static_cast<int64_t>(TakeUnsigned(2)));
      case 'J':
        return PushNumber(static_cast<int32_t>(TakeUnsigned(4)));
      case 0x8a:
        return PushNumber(TakeLong());
      case 'G':
        Take(8);
        return Push({Kind::kFloat, 0, {}});
      case 'X':
        return Push({Kind::kText, 0, Take(TakeUnsigned(4))});  // BINUNICODE
      case 'c':
        return TakeGlobal();
      case ')':
        return PushParts(Kind::kTuple, {});
      case 0x85:
        return PushTuple(1);
      case 0x86:
        return PushTuple(2);
      case 0x87:
        return PushTuple(3);
      case 't':
        return PushParts(Kind::kTuple, PopToMark());
      case ']':
        return PushParts(Kind::kList, {});
      case '}':
        return PushParts(Kind::kDict, {});
      case 'a':
        return Append(Kind::kList, {Pop()});
      case 'e':
        return Append(Kind::kList, PopToMark());
      case 's': {
        const Value value = Pop(), key = Pop();
        return Append(Kind::kDict, {key, value});
      }
      case 'u':
        return Append(Kind::kDict, PopToMark());
      case 'q':
        return Remember(TakeUnsigned(1));
      case 'r':
        return Remember(TakeUnsigned(4));
      case 'h':
        return Recall(TakeUnsigned(1));
      case 'j':
        return Recall(TakeUnsigned(4));
      case 'Q':
        return PushStorage();
      case 'R':
        return Call();
      case 'b':
        return SetAttributes();
    }
    constexpr char kDigits[] = "0123456789abcdef";
    throw Bad("the pickle holds an instruction that a state dict does not need",
              std::string("0x") + kDigits[instruction >> 4] + kDigits[instruction & 15] + " at byte " +
                  std::to_string(at_ - 1));
  }

  // --- What the names mean ---

  static constexpr std::string_view kOrderedDict = "collections\nOrderedDict";
  static constexpr std::string_view kTensor = "torch._utils\n_rebuild_tensor_v2";
  static constexpr std::string_view kParameter = "torch._utils\n_rebuild_parameter";
  static constexpr std::string_view kTorch = "torch\n";

  static std::optional<DataType> StorageType(const Value& value) {
    if (value.kind != Kind::kGlobal || !value.text.starts_with(kTorch)) return {};
    return DataTypeOfStorage(value.text.substr(kTorch.size()));
  }

  void TakeGlobal() {
    const size_t begin = at_;
    TakeLine();
    TakeLine();
    const Value global{Kind::kGlobal, 0, bytes_.substr(begin, at_ - begin - 1)};
    if (global.text != kOrderedDict && global.text != kTensor && global.text != kParameter &&
        !StorageType(global)) {
      throw Bad("the pickle asks for a name that no state dict of tensors needs; nothing of it was run",
                Show(global.text),
                "collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, "
                "torch.FloatStorage and other torch.*Storage");
    }
    Push(global);
  }

  const std::vector<Value>& Parts(const Value& value, Kind kind) const {
    if (value.kind != kind) throw Broken("a value of another kind");
    return parts_[value.number];
  }

  // BINPERSID of ("storage", class, key, device, number of items).
  void PushStorage() {
    const std::vector<Value>& id = Parts(Pop(), Kind::kTuple);
    if (id.size() != 5 || id[0].kind != Kind::kText || id[0].text != "storage" || !StorageType(id[1]) ||
        id[2].kind != Kind::kText || id[4].kind != Kind::kInt || id[4].number < 0)
      throw Broken("a storage is not described as torch.save does");
    storages_.push_back({*StorageType(id[1]), id[2].text, id[4].number});
    Push({Kind::kStorage, static_cast<int64_t>(storages_.size()) - 1, {}});
  }

  void Call() {
    const Value arguments = Pop(), function = Pop();
    const std::vector<Value>& given = Parts(arguments, Kind::kTuple);
    if (function.kind != Kind::kGlobal) throw Broken("a call of what is no function");
    if (function.text == kOrderedDict && given.empty()) return PushParts(Kind::kDict, {});
    if (function.text == kTensor) return PushTensor(given);
    // (data, requires_grad, hooks)
    if (function.text == kParameter && given.size() == 3 && given[0].kind == Kind::kTensor)
      return Push(given[0]);
    throw Bad("a call with arguments that a state dict does not need", Show(function.text));
  }

  std::vector<int64_t> Numbers(const Value& value) const {
    std::vector<int64_t> numbers;
    const std::vector<Value>& parts = Parts(value, Kind::kTuple);
    if (parts.size() > kMaxDimensions) throw Broken("a tensor of more than 64 dimensions");
    for (const Value& part : parts) {
      if (part.kind != Kind::kInt || part.number < 0) throw Broken("sizes or strides are no natural numbers");
      numbers.push_back(part.number);
    }
    return numbers;
  }

  // (storage, offset, sizes, strides, requires_grad, hooks[, metadata])
  void PushTensor(const std::vector<Value>& given) {
    if ((given.size() != 6 && given.size() != 7) || given[0].kind != Kind::kStorage ||
        given[1].kind != Kind::kInt)
      throw Broken("a tensor is not described as torch.save does");
    if (tensors_.size() == kMaxTensors) throw Bad("too many tensors", "", std::to_string(kMaxTensors));
    const Storage& storage = storages_[given[0].number];
    PickledTensor tensor;
    tensor.type = storage.type;
    tensor.storage = storage.key;
    tensor.storage_items = storage.items;
    tensor.offset = given[1].number;
    tensor.sizes = Numbers(given[2]);
    tensor.strides = Numbers(given[3]);
    if (!IsInside(tensor)) throw Broken("a tensor lies outside its storage, or repeats parts of it");
    tensors_.push_back(std::move(tensor));
    Push({Kind::kTensor, static_cast<int64_t>(tensors_.size()) - 1, {}});
  }

  static bool IsInside(const PickledTensor& tensor) {
    if (tensor.sizes.size() != tensor.strides.size() || tensor.offset < 0 ||
        tensor.offset > tensor.storage_items)
      return false;
    const bool empty = std::count(tensor.sizes.begin(), tensor.sizes.end(), 0) > 0;
    const int64_t most = empty ? kMaxEmpty : tensor.storage_items;
    int64_t items = 1, last = tensor.offset;
    for (size_t i = 0; i < tensor.sizes.size(); ++i) {
      const int64_t size = std::max<int64_t>(tensor.sizes[i], 1), stride = tensor.strides[i];
      if (size > most / items) return false;
      items *= size;
      if (size > 1 && stride > (most - std::min(last, most)) / (size - 1)) return false;
      last += size > 1 ? (size - 1) * stride : 0;
      // LibTorch multiplies what it is given, of no matter what size.
      if (stride > kMaxEmpty) return false;
    }
    return empty || (items <= most && last < most);
  }

  // BUILD: an OrderedDict's _metadata, of which a state dict's readers need nothing.
  void SetAttributes() {
    const Value state = Pop();
    TopParts(Kind::kDict);
    if (state.kind != Kind::kDict) throw Broken("attributes are no dict");
  }

  std::vector<PickledTensor> Tensors(const std::vector<Value>& entries) const {
    std::vector<PickledTensor> result;
    std::set<std::string_view> names;
    if (entries.size() / 2 > kMaxTensors) throw Bad("too many tensors", "", std::to_string(kMaxTensors));
    for (size_t i = 0; i < entries.size(); i += 2) {
      const Value &key = entries[i], &value = entries[i + 1];
      if (key.kind != Kind::kText) throw Bad("a name is not a string", KindName(key.kind));
      if (value.kind != Kind::kTensor)
        throw Bad("holds something else than the tensors of a model under " + Show(key.text),
                  KindName(value.kind), "what torch.save(model.state_dict(), FILE) writes");
      if (!names.insert(key.text).second) throw Bad("holds a name twice", Show(key.text));
      result.push_back(tensors_[value.number]);
      result.back().name = key.text;
    }
    return result;
  }

  const std::string& where_;
  std::string_view bytes_;
  size_t at_ = 0;
  std::vector<Value> stack_, memo_;
  std::vector<std::vector<Value>> parts_;  // of tuples, lists and dicts (key, value, key, ...)
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
};

}  // namespace

std::vector<PickledTensor> ReadStateDictPickle(const std::string& where, std::string_view bytes) {
  return Machine(where, bytes).Run();
}

}  // namespace thimble::models
