#include "models/hub/config_fields.h"

namespace thimble::models {
namespace {

constexpr unsigned Bit(Family family) { return 1u << static_cast<unsigned>(family); }
constexpr unsigned kBert = Bit(Family::kBert), kDistilBert = Bit(Family::kDistilBert),
                   kRoberta = Bit(Family::kRoberta), kMobileBert = Bit(Family::kMobileBert),
                   kElectra = Bit(Family::kElectra), kConvBert = Bit(Family::kConvBert), kOurs = 1u << 31;
constexpr unsigned kBertLike = kBert | kRoberta | kMobileBert | kElectra | kConvBert,
                   kFamilies = kBertLike | kDistilBert, kAll = kFamilies | kOurs;

struct Entry {
  unsigned families;
  ConfigField field;
};

constexpr FieldUse kRead = FieldUse::kRead, kFixed = FieldUse::kFixed, kNoEffect = FieldUse::kNoEffect;

constexpr Entry kEntries[] = {
    // What the model is, and how its outputs are read.
    {kAll, {"model_type", kRead, ""}},
    {kAll, {"architectures", kRead, ""}},
    {kAll, {"id2label", kRead, ""}},
    {kAll, {"label2id", kRead, ""}},
    {kAll, {"num_labels", kRead, ""}},
    {kAll, {"problem_type", kRead, ""}},
    {kAll, {"tokenizer_class", kRead, ""}},  // data/text/tokenizer_class.h
    // Ours, of how the model was read while it was trained (models/hub/settings.h).
    {kAll, {"max_seq_length", kRead, ""}},
    {kAll, {"null_threshold", kRead, ""}},
    {kAll, {"doc_stride", kRead, ""}},
    {kAll, {"max_query_length", kRead, ""}},
    {kAll, {"n_best_size", kRead, ""}},
    {kAll, {"max_answer_length", kRead, ""}},

    // Encoders.
    {kFamilies, {"vocab_size", kRead, ""}},
    {kFamilies, {"max_position_embeddings", kRead, ""}},
    {kBertLike, {"type_vocab_size", kRead, ""}},
    {kFamilies, {"hidden_size", kRead, ""}},  // of DistilBERT: transformers' other name of "dim"
    {kFamilies, {"num_hidden_layers", kRead, ""}},
    {kFamilies, {"num_attention_heads", kRead, ""}},
    {kBertLike, {"intermediate_size", kRead, ""}},
    {kBertLike, {"hidden_act", kRead, ""}},
    {kBertLike, {"layer_norm_eps", kRead, ""}},
    {kRoberta, {"pad_token_id", kRead, ""}},  // positions are counted from it
    // The row of padding is loaded as any other, and padding is masked.
    {kFamilies & ~kRoberta, {"pad_token_id", kNoEffect, ""}},
    {kDistilBert, {"dim", kRead, ""}},
    {kDistilBert, {"n_layers", kRead, ""}},
    {kDistilBert, {"n_heads", kRead, ""}},
    {kDistilBert, {"hidden_dim", kRead, ""}},
    {kDistilBert, {"activation", kRead, ""}},
    {kDistilBert, {"sinusoidal_pos_embds", kNoEffect, ""}},  // the table is in the file
    {kMobileBert | kElectra | kConvBert, {"embedding_size", kRead, ""}},
    {kConvBert, {"conv_kernel_size", kRead, ""}},
    {kConvBert, {"num_groups", kRead, ""}},
    {kConvBert, {"head_ratio", kFixed, "2"}},
    {kMobileBert, {"trigram_input", kRead, ""}},
    {kMobileBert, {"use_bottleneck", kRead, ""}},
    {kMobileBert, {"intra_bottleneck_size", kRead, ""}},
    {kMobileBert, {"use_bottleneck_attention", kRead, ""}},
    {kMobileBert, {"key_query_shared_bottleneck", kRead, ""}},
    {kMobileBert, {"num_feedforward_networks", kRead, ""}},
    {kMobileBert, {"normalization_type", kRead, ""}},
    {kMobileBert, {"classifier_activation", kRead, ""}},
    {kMobileBert, {"true_hidden_size", kNoEffect, ""}},  // transformers' copy of one of two others

    // What another value of is not computed here.
    {kFamilies, {"position_embedding_type", kFixed, R"("absolute")"}},
    {kFamilies, {"is_decoder", kFixed, "false"}},
    {kFamilies, {"is_encoder_decoder", kFixed, "false"}},
    {kFamilies, {"add_cross_attention", kFixed, "false"}},
    {kFamilies, {"pruned_heads", kFixed, "{}"}},
    {kFamilies, {"per_layer_config", kFixed, "{}"}},
    {kAll, {"quantization_config", kFixed, "{}"}},

    // Training.
    {kAll, {"hidden_dropout_prob", kNoEffect, ""}},
    {kAll, {"attention_probs_dropout_prob", kNoEffect, ""}},
    {kAll, {"classifier_dropout", kNoEffect, ""}},
    {kDistilBert, {"dropout", kNoEffect, ""}},
    {kDistilBert, {"attention_dropout", kNoEffect, ""}},
    {kDistilBert, {"qa_dropout", kNoEffect, ""}},
    {kDistilBert, {"seq_classif_dropout", kNoEffect, ""}},
    {kAll, {"initializer_range", kNoEffect, ""}},
    {kAll, {"gradient_checkpointing", kNoEffect, ""}},
    {kAll, {"finetuning_task", kNoEffect, ""}},

    // How Python computes, and what it returns. Here everything is float32.
    {kAll, {"dtype", kNoEffect, ""}},
    {kAll, {"torch_dtype", kNoEffect, ""}},
    {kAll, {"use_bfloat16", kNoEffect, ""}},
    {kAll, {"chunk_size_feed_forward", kNoEffect, ""}},
    {kAll, {"attn_implementation", kNoEffect, ""}},
    {kAll, {"_attn_implementation", kNoEffect, ""}},
    {kAll, {"_attn_implementation_autoset", kNoEffect, ""}},
    {kAll, {"output_attentions", kNoEffect, ""}},
    {kAll, {"output_hidden_states", kNoEffect, ""}},
    {kAll, {"output_past", kNoEffect, ""}},
    {kAll, {"return_dict", kNoEffect, ""}},
    {kAll, {"torchscript", kNoEffect, ""}},
    {kAll, {"use_cache", kNoEffect, ""}},

    // Of heads for words and of decoders, which answer nothing here.
    {kAll, {"tie_word_embeddings", kNoEffect, ""}},
    {kAll, {"tie_weights_", kNoEffect, ""}},
    {kAll, {"bos_token_id", kNoEffect, ""}},
    {kAll, {"eos_token_id", kNoEffect, ""}},

    // Where the file comes from, and what no code of transformers reads.
    {kAll, {"_name_or_path", kNoEffect, ""}},
    {kAll, {"name_or_path", kNoEffect, ""}},
    {kAll, {"transformers_version", kNoEffect, ""}},
    {kAll, {"_num_labels", kNoEffect, ""}},
    {kElectra, {"summary_activation", kNoEffect, ""}},  // of its head for multiple choice
    {kElectra, {"summary_last_dropout", kNoEffect, ""}},
    {kElectra, {"summary_type", kNoEffect, ""}},
    {kElectra, {"summary_use_proj", kNoEffect, ""}},
    {kElectra, {"generator_size", kNoEffect, ""}},  // of its pre-training
    {kElectra, {"generator_layers", kNoEffect, ""}},
    {kBert, {"directionality", kNoEffect, ""}},
    {kBert, {"pooler_fc_size", kNoEffect, ""}},
    {kBert, {"pooler_num_attention_heads", kNoEffect, ""}},
    {kBert, {"pooler_num_fc_layers", kNoEffect, ""}},
    {kBert, {"pooler_size_per_head", kNoEffect, ""}},
    {kBert, {"pooler_type", kNoEffect, ""}},

    // Of our own: modeling_thimble.py reads these, we read architecture.textproto.
    {kOurs, {"vocab_size", kNoEffect, ""}},
    {kOurs, {"max_position_embeddings", kNoEffect, ""}},
    {kOurs, {"type_vocab_size", kNoEffect, ""}},
    {kOurs, {"hidden_size", kNoEffect, ""}},
    {kOurs, {"num_hidden_layers", kNoEffect, ""}},
    {kOurs, {"num_attention_heads", kNoEffect, ""}},
    {kOurs, {"pad_token_id", kNoEffect, ""}},
    {kOurs, {"pooler_size", kNoEffect, ""}},
    {kOurs, {"layer_norm_eps", kNoEffect, ""}},
    {kOurs, {"embedding", kNoEffect, ""}},
    {kOurs, {"embedding_size", kNoEffect, ""}},
    {kOurs, {"bottleneck_size", kNoEffect, ""}},
    {kOurs, {"share_query_key", kNoEffect, ""}},
    {kOurs, {"norm", kNoEffect, ""}},
    {kOurs, {"position_table", kNoEffect, ""}},
    {kOurs, {"blocks", kNoEffect, ""}},
    {kOurs, {"auto_map", kNoEffect, ""}},
};

}  // namespace

const ConfigField* FindConfigField(std::optional<Family> family, std::string_view name) {
  const unsigned wanted = family ? Bit(*family) : kOurs;
  for (const Entry& entry : kEntries)
    if ((entry.families & wanted) != 0 && entry.field.name == name) return &entry.field;
  return nullptr;
}

}  // namespace thimble::models
